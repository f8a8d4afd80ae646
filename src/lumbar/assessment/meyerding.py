"""Meyerding's grade of a slip (Meyerding, J Bone Joint Surg 1931;13:39): quarters of the lower vertebra's endplate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lumbar.assessment.normal import normal_tail

BOUNDARIES_PERCENT = (25.0, 50.0, 75.0, 100.0)
"""Between I and II, II and III, III and IV, IV and V (ptosis), forward and backward alike.

A slip at a boundary belongs to the higher grade: "less than 25 %" is grade I (Hu et al., section I).
"""

ROUNDING_PERCENT = 1e-6
"""A slip this close below a boundary counts as at it: on a turned film an exact 25 % computes as 24.999999..."""

LEAST_FORWARD_PERCENT = 7.0
LEAST_BACKWARD_PERCENT = 13.0
"""Slips below these are grade 0. Meyerding names no such floor, and zero would be wrong: the readers of BUU-LSPINE
(Klinwichit et al. 2023; 45 films) labelled anterolisthesis from about +7 % and retrolisthesis from about -13 %, and the
levels that they left unlabelled average -0.9 to -7.0 %. The floors are our own reading of those labels."""

ANTEROLISTHESIS, RETROLISTHESIS, NO_SLIP = "anterolisthesis", "retrolisthesis", "none"


@dataclass(frozen=True, slots=True)
class SlipGrade:
    """The grade, 0 to 5, of the slip at `site`, and its direction.

    slip_percent: the signed slip that was graded, anterior +.
    direction: "anterolisthesis", "retrolisthesis", or "none" at grade 0.
    probability_at_least: P(grade >= k) for k = 1 to 5; None where the slip's error is not known.
    """

    site: str
    slip_percent: float
    grade: int
    direction: str
    probability_at_least: tuple[float, ...] | None

    def to_json(self) -> dict[str, Any]:
        """{site, slip_percent, grade, direction, probability_at_least}."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> SlipGrade:
        """Back from `to_json`; raises ValueError where the keys are others."""
        wanted = [field.name for field in fields(cls)]
        if set(entry) != set(wanted):
            raise ValueError(f"a SlipGrade has the keys {', '.join(wanted)}; got {', '.join(entry) or 'none'}")
        shares = entry["probability_at_least"]
        return cls(**{**entry, "probability_at_least": None if shares is None else tuple(shares)})


def grade_of(slip_percent: float) -> int:
    """The grade of a slip in percent, anterior +.

    >>> [grade_of(p) for p in (0, 6.9, 7, 24.9, 25, 24.99999999, 50, 99, 100, -12.9, -13)]
    [0, 0, 1, 1, 2, 2, 3, 4, 5, 0, 1]
    """
    floor = LEAST_FORWARD_PERCENT if slip_percent > 0 else LEAST_BACKWARD_PERCENT
    size = abs(slip_percent) + ROUNDING_PERCENT
    return sum(size >= boundary for boundary in (floor, *BOUNDARIES_PERCENT))


def quarter_of(slip_percent: float) -> int:
    """The grade as Hu et al. give it (section I): the quarter of the endplate, 1 to 4, whichever way, and 5 beyond it; no slip is grade 1, too.

    >>> [quarter_of(p) for p in (0, 6.9, 25, -13, -50, 100)]
    [1, 1, 2, 1, 3, 5]
    """
    return max(1, grade_of(slip_percent))


def grade_slip(site: str, slip_percent: float, standard_error: float | None) -> SlipGrade:
    """Grade a slip at a level; the probabilities take its error as normal with this standard error, in percent.

    >>> grade_slip("L4/L5", 25.0, 2.0).probability_at_least[:2]
    (1.0, 0.5)
    """
    grade = grade_of(slip_percent)
    direction = NO_SLIP if grade == 0 else ANTEROLISTHESIS if slip_percent > 0 else RETROLISTHESIS
    shares = None
    if standard_error is not None:
        shares = tuple(_probability_at_least(k, slip_percent, standard_error) for k in range(1, 6))
    return SlipGrade(site, slip_percent, grade, direction, shares)


def _probability_at_least(k: int, slip_percent: float, standard_error: float) -> float:
    if standard_error == 0:
        return float(grade_of(slip_percent) >= k)
    forward = (LEAST_FORWARD_PERCENT, *BOUNDARIES_PERCENT)[k - 1]
    backward = (LEAST_BACKWARD_PERCENT, *BOUNDARIES_PERCENT)[k - 1]
    beyond = normal_tail((forward - slip_percent) / standard_error)
    return min(1.0, beyond + normal_tail((backward + slip_percent) / standard_error))
