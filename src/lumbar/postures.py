"""Which of a study's films is flexion, neutral and extension: stated by DICOM or a file's name, else told by the lordosis."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from lumbar.anatomy import Posture
from lumbar.measurements import Unmeasurable, measure_lordosis
from lumbar.reading import Reading

LEAST_LORDOSIS_CHANGE_DEG = 3.0
"""Films whose lordosis differs by less are not told apart. Our own choice: about the error of one reading of an angle
between human observers, 2.6 degrees (Eur J Radiol 1994;18:227)."""

_WORDS = {
    **dict.fromkeys(("flexion", "flex", "hyperflexion"), Posture.FLEXION),
    **dict.fromkeys(("neutral", "upright"), Posture.NEUTRAL),
    **dict.fromkeys(("extension", "ext", "hyperextension"), Posture.EXTENSION),
}


class Postures(NamedTuple):
    """Who is who among the films of a study."""

    flexion: Reading
    extension: Reading
    neutral: Reading | None


def posture_named(film: str) -> Posture | None:
    """The posture that a file's name states in a word of its own; None where it states none, or more than one.

    >>> posture_named("0017_FLEX.png"), posture_named("flexion-extension.png"), posture_named("exterior.png")
    (<Posture.FLEXION: 'flexion'>, None, None)
    """
    said = {_WORDS[word] for word in re.findall(r"[a-z]+", film.lower().rsplit(".", 1)[0]) if word in _WORDS}
    return said.pop() if len(said) == 1 else None


def order_by_posture(readings: Sequence[Reading]) -> Postures:
    """Two or three films as flexion, extension and neutral.

    A posture that a film states is taken, in its DICOM header or else in its name; the others go by the lordosis from L1
    to S1, least in flexion and most in extension. Two films are flexion and extension.
    Raises ValueError, saying why, where the postures cannot be told: not two or three films, a posture stated twice,
    two films of which one is neutral, or a lordosis that could not be measured or differs by less than
    `LEAST_LORDOSIS_CHANGE_DEG` from the next.
    """
    if len(readings) not in (2, 3):
        raise ValueError(
            f"a study has a flexion and an extension film, and may have a neutral one; got {len(readings)} films"
        )
    said = [reading.posture or posture_named(reading.film) for reading in readings]
    stated = {posture: reading for posture, reading in zip(said, readings, strict=True) if posture is not None}
    for posture, count in Counter(said).items():
        if posture is not None and count > 1:
            names = ", ".join(reading.film for reading, one in zip(readings, said, strict=True) if one is posture)
            raise ValueError(f"each posture must occur once; got {count} {posture} films: {names}")
    wanted = [posture for posture in Posture if len(readings) == 3 or posture is not Posture.NEUTRAL]
    if not set(stated) <= set(wanted):
        raise ValueError(f"two films must be flexion and extension; {stated[Posture.NEUTRAL].film} is a neutral one")
    open_roles = [posture for posture in wanted if posture not in stated]
    unnamed = [reading for reading, posture in zip(readings, said, strict=True) if posture is None]
    ordered = unnamed if len(unnamed) < 2 else _by_lordosis(unnamed)
    films = {**stated, **dict(zip(open_roles, ordered, strict=True))}
    return Postures(films[Posture.FLEXION], films[Posture.EXTENSION], films.get(Posture.NEUTRAL))


def _by_lordosis(readings: Sequence[Reading]) -> list[Reading]:
    remedy = "say which film is flexion and which extension"
    curved: list[tuple[float, Reading]] = []
    for reading in readings:
        lordosis = measure_lordosis(reading.spine)
        if isinstance(lordosis, Unmeasurable):
            raise ValueError(f"lordosis of {reading.film} could not be measured ({lordosis.reason}): {remedy}")
        curved.append((lordosis.value, reading))
    curved.sort(key=lambda pair: pair[0])
    for (less, one), (more, other) in pairwise(curved):
        if more - less < LEAST_LORDOSIS_CHANGE_DEG:
            raise ValueError(
                f"lordosis must differ by {LEAST_LORDOSIS_CHANGE_DEG:g} degrees between films to tell their postures; "
                f"got {less:.1f} in {one.film} and {more:.1f} in {other.film}: {remedy}"
            )
    return [reading for _, reading in curved]
