"""Flexion, extension and neutral films of one patient together: how far each level moves, and what is said of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from lumbar.anatomy import Posture
from lumbar.assessment import (
    PAPER,
    SlipGrade,
    StabilityAssessment,
    StabilityCriteria,
    Verdict,
    assess_stability,
    grade_slip,
)
from lumbar.measurements import SLIP, Measurement, Unmeasurable, measure_lordosis
from lumbar.reading import NOTICE, Reading, installed_version

FORMAT = "lumbar.study/1"

LEAST_LORDOSIS_CHANGE_DEG = 3.0
"""Films whose lordosis differs by less are not told apart. Our own choice: about the error of one reading of an angle
between human observers, 2.6 degrees (Eur J Radiol 1994;18:227)."""


@dataclass(frozen=True, slots=True)
class LevelAssessment:
    """One level: its motion between flexion and extension, and its slip and grade on one film.

    slip_film: the posture of the film that `slip` is of: neutral, or flexion where no neutral film gave it.
    grade: None where the slip could not be measured.
    """

    stability: StabilityAssessment
    slip: Measurement | Unmeasurable
    slip_film: Posture
    grade: SlipGrade | None

    @property
    def site(self) -> str:
        """Such as "L4/L5"."""
        return self.stability.site

    def to_json(self) -> dict[str, Any]:
        """One flat dict; what could not be measured is {reason}, and what is not known is null."""
        stability, grade = self.stability, self.grade
        slip = _quantity("slip_percent", self.slip)
        return {
            "site": self.site,
            **_quantity("translation_mm", stability.translation),
            **_quantity("angulation_deg", stability.angulation),
            **slip,
            "slip_film": self.slip_film,
            "grade": slip["slip_percent"] if grade is None else grade.grade,
            "direction": None if grade is None else grade.direction,
            "grade_probability_at_least": None if grade is None else grade.probability_at_least,
            "verdict": stability.verdict,
            "probability": stability.probability,
            "verdict_reason": stability.reason,
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any], criteria: str) -> LevelAssessment:
        """Back from `to_json`; `criteria` is the name of the criteria."""
        site = entry["site"]
        slip = _quantity_back("slip", site, "slip_percent", "%", entry)
        grade = None
        if isinstance(slip, Measurement):
            shares = entry["grade_probability_at_least"]
            probability_at_least = None if shares is None else tuple(shares)
            grade = SlipGrade(site, slip.value, entry["grade"], entry["direction"], probability_at_least)
        stability = StabilityAssessment(
            site,
            Verdict(entry["verdict"]),
            entry["probability"],
            _quantity_back("translation", site, "translation_mm", "mm", entry),
            _quantity_back("angulation", site, "angulation_deg", "deg", entry),
            entry["verdict_reason"],
            criteria,
        )
        return cls(stability, slip, Posture(entry["slip_film"]), grade)


@dataclass(frozen=True, slots=True)
class StudyAssessment:
    """What is said of every level. films: posture -> the film's name. warnings: what to doubt about the comparison."""

    films: Mapping[Posture, str]
    criteria: StabilityCriteria
    levels: tuple[LevelAssessment, ...]
    warnings: tuple[str, ...]
    software_version: str

    def to_json(self) -> str:
        """One JSON object with keys in a fixed order; `from_json` gives an equal assessment back."""
        document = {
            "format": FORMAT,
            "notice": NOTICE,
            "films": {posture.value: self.films[posture] for posture in Posture if posture in self.films},
            "criteria": {**asdict(self.criteria), "rotation_deg": dict(self.criteria.rotation_deg)},
            "levels": [level.to_json() for level in self.levels],
            "warnings": list(self.warnings),
            "software_version": self.software_version,
        }
        return json.dumps(document, indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> StudyAssessment:
        """The assessment that `to_json` wrote.

        Raises ValueError where `text` is not JSON, is of another format, or lacks something.
        """
        try:
            document = json.loads(text)
            if document["format"] != FORMAT:
                raise ValueError(f"format must be {FORMAT}; got {document['format']!r}")
            criteria = StabilityCriteria(**document["criteria"])
            return cls(
                films={Posture(posture): film for posture, film in document["films"].items()},
                criteria=criteria,
                levels=tuple(LevelAssessment.from_json(entry, criteria.name) for entry in document["levels"]),
                warnings=tuple(document["warnings"]),
                software_version=document["software_version"],
            )
        except KeyError as missing:
            raise ValueError(f"this is not a study as lumbar writes it: it has no '{missing.args[0]}'") from missing
        except (TypeError, AttributeError, ValueError) as problem:
            raise ValueError(f"this is not a study as lumbar writes it: {problem}") from problem


class Postures(NamedTuple):
    """Who is who among the films of a study."""

    flexion: Reading
    extension: Reading
    neutral: Reading | None


def assess_study(
    flexion: Reading, extension: Reading, neutral: Reading | None = None, criteria: StabilityCriteria = PAPER
) -> StudyAssessment:
    """Compare flexion with extension at every level, and grade the slip on the neutral film, else on the flexion film.

    Raises ValueError where a film's own posture contradicts the role that it is given.
    """
    roles = {Posture.FLEXION: flexion, Posture.NEUTRAL: neutral, Posture.EXTENSION: extension}
    films = {posture: film for posture, film in roles.items() if film is not None}
    for posture, film in films.items():
        if film.posture not in (None, posture):
            raise ValueError(
                f"the {posture} film must not be marked as another posture; {film.film} is marked {film.posture}"
            )
    stability = assess_stability(flexion.measurements, extension.measurements, criteria)
    return StudyAssessment(
        films={posture: film.film for posture, film in films.items()},
        criteria=criteria,
        levels=tuple(_level(of_level, flexion, neutral) for of_level in stability),
        warnings=_doubts_about_comparison(films),
        software_version=installed_version(),
    )


def order_by_posture(readings: Sequence[Reading]) -> Postures:
    """Two or three films as flexion, extension and neutral.

    A posture that a film states is taken; the others go by the lordosis from L1 to S1, least in flexion and most in
    extension. Two films are flexion and extension.
    Raises ValueError, saying why, where the postures cannot be told: not two or three films, a posture stated twice,
    two films of which one is neutral, or a lordosis that could not be measured or differs by less than
    `LEAST_LORDOSIS_CHANGE_DEG` from the next.
    """
    if len(readings) not in (2, 3):
        raise ValueError(
            f"a study has a flexion and an extension film, and may have a neutral one; got {len(readings)} films"
        )
    stated = {reading.posture: reading for reading in readings if reading.posture is not None}
    counts = Counter(reading.posture for reading in readings if reading.posture is not None)
    for posture, count in counts.items():
        if count > 1:
            names = ", ".join(reading.film for reading in readings if reading.posture is posture)
            raise ValueError(f"each posture must occur once; got {count} {posture} films: {names}")
    wanted = [posture for posture in Posture if len(readings) == 3 or posture is not Posture.NEUTRAL]
    if not set(stated) <= set(wanted):
        raise ValueError(f"two films must be flexion and extension; {stated[Posture.NEUTRAL].film} is a neutral one")
    open_roles = [posture for posture in wanted if posture not in stated]
    unnamed = [reading for reading in readings if reading.posture is None]
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


def _level(stability: StabilityAssessment, flexion: Reading, neutral: Reading | None) -> LevelAssessment:
    slip, slip_film = flexion.measured(SLIP.name, stability.site), Posture.FLEXION
    if neutral is not None:
        in_neutral = neutral.measured(SLIP.name, stability.site)
        if isinstance(in_neutral, Measurement) or isinstance(slip, Unmeasurable):
            slip, slip_film = in_neutral, Posture.NEUTRAL
    grade = grade_slip(slip.site, slip.value, slip.standard_error) if isinstance(slip, Measurement) else None
    return LevelAssessment(stability, slip, slip_film, grade)


def _doubts_about_comparison(films: Mapping[Posture, Reading]) -> tuple[str, ...]:
    doubts = [f"{posture} film: {warning}" for posture, film in films.items() for warning in film.warnings]
    for what, of_film in (
        ("pixel spacing comes from different sources", _spacing_source),
        ("the films were read by different versions or weights", _reader),
    ):
        if len({of_film(film) for film in films.values()}) > 1:
            each = ", ".join(f"{posture}: {of_film(film)}" for posture, film in films.items())
            doubts.append(f"{what} ({each})")
    bent, straight = (measure_lordosis(films[p].spine) for p in (Posture.FLEXION, Posture.EXTENSION))
    if isinstance(bent, Measurement) and isinstance(straight, Measurement) and bent.value > straight.value:
        doubts.append(
            f"the flexion film is more lordotic than the extension film ({bent.value:.0f} against {straight.value:.0f} "
            "degrees): they may be exchanged"
        )
    return tuple(doubts)


def _spacing_source(film: Reading) -> str:
    return "none" if film.spacing is None else f"{film.spacing.source}, {film.spacing.plane} plane"


def _reader(film: Reading) -> str:
    return " ".join([film.software_version, *(f"{name} {sha256[:12]}" for name, sha256 in film.weights.items())])


def _quantity(key: str, entry: Measurement | Unmeasurable) -> dict[str, Any]:
    """{key, key with its error, key with its method}, the unit being the last word of the key."""
    name, unit = key.rsplit("_", 1)
    error, method = f"{name}_standard_error_{unit}", f"{name}_method"
    if isinstance(entry, Unmeasurable):
        return {key: {"reason": entry.reason}, error: None, method: None}
    return {key: entry.value, error: entry.standard_error, method: entry.method}


def _quantity_back(
    quantity: str, site: str, key: str, unit: str, entry: Mapping[str, Any]
) -> Measurement | Unmeasurable:
    value = entry[key]
    if isinstance(value, dict):
        return Unmeasurable(quantity, site, value["reason"])
    name, last = key.rsplit("_", 1)
    error, method = entry[f"{name}_standard_error_{last}"], entry[f"{name}_method"]
    return Measurement(quantity, site, value, unit, error, method)
