"""Is a level stable between flexion and extension? By named criteria, with a probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lumbar.assessment.criteria import PAPER, StabilityCriteria
from lumbar.assessment.normal import probability_within
from lumbar.measurements import LevelChange, Measurement, Unmeasurable

DECIDED = 0.9
"""A verdict is given where its probability is at least this; else it is undetermined. Our own choice."""

ROUNDING = 1e-6
"""A change, in mm, % or degrees, this close to a threshold counts as at it: a turned film gives 3.0000001 for 3."""


class Verdict(StrEnum):
    """What is said of a level."""

    STABLE = "stable"
    UNSTABLE = "unstable"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class StabilityAssessment:
    """The verdict on one level by one set of criteria.

    probability: P(unstable); None where an error, or what the rule needs, is not known.
    reason: why the verdict is what it is where that is not plain from the changes, else None.
    criteria: their name.
    """

    site: str
    verdict: Verdict
    probability: float | None
    reason: str | None
    criteria: str


def assess_stability(
    changes: Sequence[LevelChange], criteria: StabilityCriteria = PAPER
) -> tuple[StabilityAssessment, ...]:
    """Every level, from what changes there between flexion and extension."""
    return tuple(assess_level(change, criteria) for change in changes)


def assess_level(change: LevelChange, criteria: StabilityCriteria = PAPER) -> StabilityAssessment:
    """Assess the changes at one site.

    Errors are taken as normal, with the covariance that the changes share through their corners. Where all are known, the verdict is
    undetermined unless one of the two answers has a probability of at least `DECIDED`; where one is not, the bare rule decides. A
    change beyond its threshold is enough to be unstable, even if another could not be measured; one within it is not enough
    to be stable. Where translation has two thresholds, in mm and in %, either that could be measured is enough to judge it.
    """
    wanted = [i for i, limit in enumerate(criteria.thresholds(change.site)) if limit is not None]
    if not wanted:
        silent = f"the criteria {criteria.name} say nothing of {change.site}"
        return StabilityAssessment(change.site, Verdict.UNDETERMINED, None, silent, criteria.name)
    measured = [i for i in wanted if isinstance(change.figures[i], Measurement)]
    missing = _missing(change, wanted, measured)
    known = bool(np.isfinite(change.covariance[np.ix_(measured, measured)]).all())
    within = _probability_within(change, criteria, measured, known)
    verdict = Verdict.UNDETERMINED
    reason: str | None = None
    if 1 - within >= DECIDED:
        verdict = Verdict.UNSTABLE
    elif not missing and within >= DECIDED:
        verdict = Verdict.STABLE
    if missing:
        reason = "; ".join(missing)
    elif verdict is Verdict.UNDETERMINED:
        reason = f"neither verdict has a probability of {DECIDED:g} or more"
    probability = 1 - within if known and not missing else None
    return StabilityAssessment(change.site, verdict, probability, reason, criteria.name)


def _missing(change: LevelChange, wanted: list[int], measured: list[int]) -> list[str]:
    """What the rule needs and does not have: a translation, by either of its two figures, and the angulation."""
    missing = []
    for kind in ((0, 1), (2,)):
        needed = [i for i in kind if i in wanted]
        if needed and not any(i in measured for i in needed):
            figure = change.figures[needed[0]]
            assert isinstance(figure, Unmeasurable)
            missing.append(f"no {figure.quantity}: {figure.reason}")
    return missing


def _probability_within(change: LevelChange, criteria: StabilityCriteria, measured: list[int], known: bool) -> float:
    """P(no measured change exceeds its threshold); 0 or 1 by the bare rule without errors; 1 where nothing was measured."""
    if not measured:
        return 1.0
    thresholds = criteria.thresholds(change.site)
    limits = np.array([thresholds[i] for i in measured], float)
    values = np.array([figure.value for i in measured if isinstance(figure := change.figures[i], Measurement)])
    covariance = change.covariance[np.ix_(measured, measured)]
    if not known or not np.diag(covariance).any():
        at = -ROUNDING if criteria.at_threshold else ROUNDING
        return float((np.abs(values) <= limits + at).all())
    return probability_within(values, covariance, limits)
