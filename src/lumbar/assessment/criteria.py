"""By what a level is called unstable: the criteria in use, as data, with where each comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lumbar.anatomy import LEVELS

SITES = tuple(str(level) for level in LEVELS)


@dataclass(frozen=True, slots=True)
class StabilityCriteria:
    """A level is unstable if, between flexion and extension, one of its changes exceeds a threshold.

    translation_mm, translation_percent (of the lower endplate), rotation_deg: thresholds by site, "L1/L2" to "L5/S1"; a site
    that is left out is not judged by that change. at_threshold: whether a change of just that size is unstable, too.
    """

    name: str
    source: str
    rotation_deg: Mapping[str, float] = field(default_factory=dict)
    translation_mm: Mapping[str, float] = field(default_factory=dict)
    translation_percent: Mapping[str, float] = field(default_factory=dict)
    at_threshold: bool = False
    remark: str = ""

    def __post_init__(self) -> None:
        for name in ("rotation_deg", "translation_mm", "translation_percent"):
            unknown = [site for site in getattr(self, name) if site not in SITES]
            if unknown:
                raise ValueError(f"{name} must have sites among {', '.join(SITES)}; got {', '.join(unknown)}")
        if not (self.rotation_deg or self.translation_mm or self.translation_percent):
            raise ValueError(f"criteria {self.name} must have a threshold; got none")

    def thresholds(self, site: str) -> tuple[float | None, float | None, float | None]:
        """Of translation in mm, of slip in %, of angulation in degrees, at `site`; None where it is not judged by that.

        >>> CRITERIA["white-panjabi"].thresholds("L5/S1")
        (4.5, 15.0, 25.0)
        """
        return self.translation_mm.get(site), self.translation_percent.get(site), self.rotation_deg.get(site)

    def in_words(self) -> str:
        """The rule in one sentence.

        >>> CRITERIA["review"].in_words()
        'translation >= 4 mm or >= 8 % of the endplate, or rotation >= 10 deg (L5/S1 >= 20 deg)'
        """
        sign = ">=" if self.at_threshold else ">"
        parts = [
            _rule(thresholds, sign, unit)
            for thresholds, unit in (
                (self.translation_mm, "mm"),
                (self.translation_percent, "% of the endplate"),
            )
            if thresholds
        ]
        shift = "translation " + " or ".join(parts) if parts else ""
        turn = "rotation " + _rule(self.rotation_deg, sign, "deg") if self.rotation_deg else ""
        return ", or ".join(part for part in (shift, turn) if part)


def _rule(thresholds: Mapping[str, float], sign: str, unit: str) -> str:
    """The threshold of most sites, and those of the others in brackets."""
    values = list(thresholds.values())
    usual = max(values, key=lambda value: (values.count(value), -value))
    others: dict[float, list[str]] = {}
    for site, value in thresholds.items():
        if value != usual:
            others.setdefault(value, []).append(site)
    exceptions = ", ".join(f"{', '.join(sites)} {sign} {value:.3g} {unit}" for value, sites in others.items())
    return f"{sign} {usual:.3g} {unit}" + (f" ({exceptions})" if exceptions else "")


def _everywhere(value: float, **other: float) -> dict[str, float]:
    exceptions = {name.replace("_", "/"): threshold for name, threshold in other.items()}
    return {site: exceptions.get(site, value) for site in SITES}


PAPER = StabilityCriteria(
    "paper",
    "Hu et al., LSLD-Net, section I, after Hu et al., Chin J Reparative Reconstr Surg 2023;37:81",
    rotation_deg=_everywhere(12.0),
    translation_mm=_everywhere(3.0),
    remark="At L5/S1, where the paper's displacement is undefined, along the endplate.",
)
AMA_5 = StabilityCriteria(
    "ama-5",
    "American Medical Association, Guides to the Evaluation of Permanent Impairment, 5th edition, as cited by Spine CAMP",
    rotation_deg=_everywhere(15.0, L4_L5=20.0, L5_S1=25.0),
    translation_mm=_everywhere(4.5),
)
WHITE_PANJABI = StabilityCriteria(
    "white-panjabi",
    "White & Panjabi, Clinical Biomechanics of the Spine",
    rotation_deg=_everywhere(15.0, L4_L5=20.0, L5_S1=25.0),
    translation_mm=_everywhere(4.5),
    translation_percent=_everywhere(15.0),
    remark="The radiographic part of their checklist alone; the clinical points are not counted.",
)
REVIEW = StabilityCriteria(
    "review",
    "thresholds that reviews of lumbar instability name most often",
    rotation_deg=_everywhere(10.0, L5_S1=20.0),
    translation_mm=_everywhere(4.0),
    translation_percent=_everywhere(8.0),
    at_threshold=True,
)

_NORMAL_ROTATION_DEG = {"L2/L3": (10.7, 4.6), "L3/L4": (10.0, 4.8), "L4/L5": (8.2, 5.3), "L5/S1": (6.8, 6.3)}
_NORMAL_TRANSLATION_PERCENT = {"L2/L3": (7.9, 4.0), "L3/L4": (6.6, 4.0), "L4/L5": (5.8, 3.0), "L5/S1": (3.2, 4.0)}
REFERENCE_INTERVAL = StabilityCriteria(
    "reference-interval",
    "mean and standard deviation of people without complaints, BMC Musculoskelet Disord 2006;7:45",
    rotation_deg={site: mean + 1.96 * sd for site, (mean, sd) in _NORMAL_ROTATION_DEG.items()},
    translation_percent={site: mean + 1.96 * sd for site, (mean, sd) in _NORMAL_TRANSLATION_PERCENT.items()},
    remark="More than mean + 1.96 standard deviations: 2.5 % of people without complaints are beyond, at each level and for "
    "each change. L1/L2 was not studied. To call it unstable there is our own reading.",
)

CRITERIA: dict[str, StabilityCriteria] = {
    criteria.name: criteria for criteria in (PAPER, AMA_5, WHITE_PANJABI, REVIEW, REFERENCE_INTERVAL)
}
"""Every set of criteria by its name on the command line."""

COUNTER_EVIDENCE = (
    "One in five healthy people exceeds 4 mm at L4/L5 (Hayes 1989); no criterion has been validated as a diagnostic test "
    "(Hipp 2023). A verdict describes motion; it does not diagnose."
)
