"""The same vertebrae on several films of one patient must bear the same names.

On one film a level is known by its neighbours alone, and a film that shows little of the sacrum may be named a level too high
or too low. But vertebrae of one patient differ in shape, L5 most of all, and keep it from film to film: names under which the
shapes agree are preferred. Ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import Vertebra
from lumbar.geometry import FloatArray
from lumbar.landmarks.decoding import Candidates, name_by_level, naming_score

LEVELS = len(Vertebra)

SHAPE_DEVIATION = 0.035
"""How far a corner lies from where the same body on another film has it, in endplate depths: what two readings get wrong
together. Our own choice."""

_WORST = 9.0
"""What one body can add to the disagreement, so that one badly read body does not decide."""


@dataclass(frozen=True, slots=True, eq=False)
class Naming:
    """One way to name a film's candidates. named (6,): index of each level's candidate, -1 for none; score: log of how well it fits."""

    named: NDArray[np.intp]
    score: float


def name_together(films: Sequence[Candidates], depth_share: float = SHAPE_DEVIATION) -> list[NDArray[np.intp]]:
    """Names (6,) for each film's candidates, chosen for all films at once; candidates in square pixels of any size.

    Each film may keep its own best names or move them by one level; the choice maximises the films' own scores plus the
    log likelihood that bodies of one name have one shape.
    """
    options = [_options(candidates) for candidates in films]
    apart = {
        (f, i, g, j): _disagreement(films[f], one.named, films[g], other.named, depth_share)
        for f, g in combinations(range(len(films)), 2)
        for i, one in enumerate(options[f])
        for j, other in enumerate(options[g])
    }

    def total(choice: tuple[int, ...]) -> float:
        own = sum(options[f][i].score for f, i in enumerate(choice))
        between = sum(apart[f, choice[f], g, choice[g]] for f, g in combinations(range(len(choice)), 2))
        return own - between / max(1, len(choice) - 1)

    best = max(product(*(range(len(option)) for option in options)), key=total)
    return [options[f][i].named for f, i in enumerate(best)]


def _options(candidates: Candidates) -> list[Naming]:
    """The film's own names first, then the same chain moved by a level."""
    named = name_by_level(candidates)
    options = [Naming(named, naming_score(candidates, named))]
    if (named >= 0).sum() < LEVELS - 1:
        return options
    for moved in (_a_level_up(named), _a_level_down(named, len(candidates))):
        if (moved >= 0).sum() >= LEVELS - 1:
            options.append(Naming(moved, naming_score(candidates, moved)))
    return options


def _a_level_up(named: NDArray[np.intp]) -> NDArray[np.intp]:
    """Each name on the body above; L1 on the candidate above L1, if there is one."""
    above = named[0] - 1 if named[0] > 0 else -1
    return np.array([above, *named[:-1]])


def _a_level_down(named: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Each name on the body below; S1 on the candidate below S1, if there is one."""
    below = named[-1] + 1 if 0 <= named[-1] < count - 1 else -1
    return np.array([*named[1:], below])


def _disagreement(
    one: Candidates, named: NDArray[np.intp], other: Candidates, other_named: NDArray[np.intp], depth_share: float
) -> float:
    """Minus the log likelihood that bodies of one name have one shape, L1 to L5 by four corners, S1 by its endplate.

    Sizes are taken relative to the mean over the bodies that both films have, so magnification does not matter. Levels that only one
    film has count as the others do on average: leaving a level out must not make names look better.
    """
    both = [level for level in range(LEVELS) if named[level] >= 0 and other_named[level] >= 0]
    if len(both) < 3:
        return 0.0
    shapes = [
        [candidates.corners[names[level]][: 2 if level == LEVELS - 1 else 4] for level in both]
        for candidates, names in ((one, named), (other, other_named))
    ]
    sizes = [np.mean([np.linalg.norm(shape[0] - shape[1]) for shape in film]) for film in shapes]
    total = 0.0
    for a, b in zip(*shapes, strict=True):
        variance = 2 * depth_share**2  # of the difference of two readings
        total += min(_procrustes(a / sizes[0], b / sizes[1]) / (2 * variance), _WORST)
    return total * LEVELS / len(both)


def _procrustes(a: FloatArray, b: FloatArray) -> float:
    """Sum of squared distances after the best turn and shift."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    angle = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
    c, s = np.cos(angle), np.sin(angle)
    return float(((a @ np.array([[c, s], [-s, c]]) - b) ** 2).sum())
