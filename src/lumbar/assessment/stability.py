"""Is a level stable between flexion and extension? By named criteria, with a probability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lumbar.anatomy import LEVELS, Vertebra
from lumbar.assessment.meyerding import normal_tail
from lumbar.measurements import (
    ENDPLATE_DISPLACEMENT,
    INTERVERTEBRAL_ANGLE,
    WALL_DISPLACEMENT,
    Measurement,
    Unmeasurable,
)

DECIDED = 0.9
"""A verdict is given where its probability is at least this; else it is undetermined. Our own choice."""

ROUNDING = 1e-6
"""A change, in mm or degrees, this close above a threshold counts as at it: a turned film gives 3.0000001 for 3."""

DISPLACEMENT_AT: Mapping[str, str] = {
    str(level): (ENDPLATE_DISPLACEMENT if level.lower is Vertebra.S1 else WALL_DISPLACEMENT).name for level in LEVELS
}
"""Which sagittal displacement is compared at a site: the paper's, from the posterior wall; at L5/S1 that along the
endplate, because S1 has no posterior-inferior corner and so the paper's construction is undefined there."""


class Verdict(StrEnum):
    """What is said of a level."""

    STABLE = "stable"
    UNSTABLE = "unstable"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class StabilityCriteria:
    """A level is unstable if its translation or rotation between flexion and extension exceeds its threshold.

    rotation_deg: the threshold at each site, "L1/L2" to "L5/S1".
    """

    name: str
    translation_mm: float
    rotation_deg: Mapping[str, float]
    source: str

    def __post_init__(self) -> None:
        if set(self.rotation_deg) != set(DISPLACEMENT_AT):
            got = ", ".join(self.rotation_deg) or "none"
            raise ValueError(f"rotation_deg must have the sites {', '.join(DISPLACEMENT_AT)}; got {got}")


PAPER = StabilityCriteria(
    "paper",
    3.0,
    {str(level): 12.0 for level in LEVELS},
    "Hu et al., LSLD-Net, section I, after Hu et al., Chin J Reparative Reconstr Surg 2023;37:81: "
    "change of sagittal displacement > 3 mm or of the intervertebral angle > 12 deg",
)


@dataclass(frozen=True, slots=True)
class StabilityAssessment:
    """The verdict on one level.

    probability: P(unstable); None where an error, or what the rule needs, is not known.
    translation, angulation: flexion - extension, in mm of the displacement (anterior +) and in degrees of the
    intervertebral angle (opening anteriorly +), or why there is none.
    reason: why the verdict is what it is where that is not plain from the changes, else None.
    criteria: their name.
    """

    site: str
    verdict: Verdict
    probability: float | None
    translation: Measurement | Unmeasurable
    angulation: Measurement | Unmeasurable
    reason: str | None
    criteria: str


def assess_stability(
    flexion: Sequence[Measurement | Unmeasurable],
    extension: Sequence[Measurement | Unmeasurable],
    criteria: StabilityCriteria = PAPER,
) -> tuple[StabilityAssessment, ...]:
    """Every level from L1/L2 down, from what was measured on the flexion and on the extension film."""
    in_flexion, in_extension = ({(m.quantity, m.site): m for m in film} for film in (flexion, extension))
    found = []
    for site, displacement in DISPLACEMENT_AT.items():
        translation, angulation = (
            change(name, in_flexion[quantity, site], in_extension[quantity, site])
            for name, quantity in (("translation", displacement), ("angulation", INTERVERTEBRAL_ANGLE.name))
        )
        found.append(assess_level(translation, angulation, criteria))
    return tuple(found)


def change(
    name: str, flexion: Measurement | Unmeasurable, extension: Measurement | Unmeasurable
) -> Measurement | Unmeasurable:
    """The quantity `name`: the value in flexion less that in extension, with independent errors."""
    if isinstance(flexion, Unmeasurable) or isinstance(extension, Unmeasurable):
        why: dict[str, list[str]] = {}
        for film, posture in ((flexion, "flexion"), (extension, "extension")):
            if isinstance(film, Unmeasurable):
                why.setdefault(film.reason, []).append(posture)
        reason = "; ".join(f"{reason} (in {' and '.join(postures)})" for reason, postures in why.items())
        return Unmeasurable(name, flexion.site, reason)
    error = None
    if flexion.standard_error is not None and extension.standard_error is not None:
        error = math.hypot(flexion.standard_error, extension.standard_error)
    method = f"{flexion.quantity}, flexion - extension"
    return Measurement(name, flexion.site, flexion.value - extension.value, flexion.unit, error, method)


def assess_level(
    translation: Measurement | Unmeasurable,
    angulation: Measurement | Unmeasurable,
    criteria: StabilityCriteria = PAPER,
) -> StabilityAssessment:
    """Assess the changes at one site between flexion and extension.

    At a threshold is stable: the criteria say "exceeds". Errors are taken as normal, and as independent of each other
    although both changes share corners. Where both are known, the verdict is undetermined unless one of the two answers
    has a probability of at least `DECIDED`; where one is not, the bare rule decides. A change beyond its threshold is
    enough to be unstable, even if the other could not be measured; one within it is not enough to be stable.

    >>> moved = Measurement("translation", "L4/L5", -3.1, "mm", None, "")
    >>> turned = Measurement("angulation", "L4/L5", 12.0, "deg", None, "")
    >>> assess_level(moved, turned).verdict.value
    'unstable'
    """
    site = translation.site
    missing = [f"no {m.quantity}: {m.reason}" for m in (translation, angulation) if isinstance(m, Unmeasurable)]
    known = all(m.standard_error is not None for m in (translation, angulation) if isinstance(m, Measurement))
    stable = _within(translation, criteria.translation_mm, known) * _within(
        angulation, criteria.rotation_deg[site], known
    )
    verdict, reason = Verdict.UNDETERMINED, None
    if 1 - stable >= DECIDED:
        verdict = Verdict.UNSTABLE
    elif not missing and stable >= DECIDED:
        verdict = Verdict.STABLE
    if missing:
        reason = "; ".join(missing)
    elif verdict is Verdict.UNDETERMINED:
        reason = f"neither verdict has a probability of {DECIDED:g} or more"
    probability = 1 - stable if known and not missing else None
    return StabilityAssessment(site, verdict, probability, translation, angulation, reason, criteria.name)


def _within(changed: Measurement | Unmeasurable, threshold: float, errors_known: bool) -> float:
    """P(|change| <= threshold), 0 or 1 without errors; 1 where nothing was measured: then the other change decides."""
    if isinstance(changed, Unmeasurable):
        return 1.0
    value, error = changed.value, changed.standard_error
    if not errors_known or not error:
        return float(abs(value) <= threshold + ROUNDING)
    return max(0.0, 1 - normal_tail((threshold - value) / error) - normal_tail((threshold + value) / error))
