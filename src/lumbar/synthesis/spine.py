"""A random but possible spine, in mm: T1 to S1 in the sagittal plane, bent sideways by a coronal curve, as it stands and as it moves.

x anterior +, y up +, z to the patient's right +; S1's upper posterior corner is the origin. Means and deviations of the lumbar
levels are those of 45 annotated lateral films of BUU-LSPINE (Klinwichit et al., Appl. Sci. 2023, 13, 8646); the thoracic ones
continue them by eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from lumbar.anatomy import LANDMARKS, Corner, Posture
from lumbar.geometry import FloatArray
from lumbar.synthesis.findings import Finding, draw_findings
from lumbar.synthesis.solids import rotation

NAMES = ("L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9", "T8", "T7", "T6", "T5", "T4", "T3", "T2", "T1")
"""From the sacrum upwards: the lowest free disc is called L5/S1, however many lumbar vertebrae there are."""

BELOW = dict(zip(NAMES, ("S1", *NAMES), strict=False))
"""What lies below each vertebra."""

#        depth, anterior and posterior height (of the L3 depth); angle (deg), slip (of the lower endplate), height of the disc below
_MEANS = {
    "L5": (0.98, 0.73, 0.66, 15.8, -0.024, 0.27),
    "L4": (0.99, 0.71, 0.70, 11.6, -0.009, 0.31),
    "L3": (1.00, 0.72, 0.75, 12.9, -0.063, 0.30),
    "L2": (0.98, 0.69, 0.77, 10.2, -0.070, 0.26),
    "L1": (0.95, 0.69, 0.79, 5.9, -0.043, 0.22),
    "T12": (0.91, 0.65, 0.75, 3.5, -0.030, 0.17),
    "T11": (0.86, 0.62, 0.69, 1.5, -0.020, 0.14),
    "T10": (0.83, 0.59, 0.64, 0.0, -0.010, 0.13),
    "T9": (0.80, 0.57, 0.61, -1.0, -0.010, 0.12),
    "T8": (0.77, 0.55, 0.59, -1.5, -0.010, 0.12),
    "T7": (0.74, 0.53, 0.57, -1.5, -0.010, 0.11),
    "T6": (0.71, 0.51, 0.55, -1.5, -0.010, 0.11),
    "T5": (0.68, 0.50, 0.53, -1.5, -0.010, 0.10),
    "T4": (0.64, 0.48, 0.51, -1.5, -0.010, 0.10),
    "T3": (0.60, 0.46, 0.49, -1.0, -0.010, 0.10),
    "T2": (0.57, 0.46, 0.48, -0.5, -0.010, 0.10),
    "T1": (0.54, 0.45, 0.46, 0.0, -0.010, 0.10),
}
_ANGLE_SD = {"L5": 5.9, "L4": 6.0, "L3": 3.4, "L2": 3.9, "L1": 4.2}
_SLIP_SD = {"L5": 0.055, "L4": 0.055, "L3": 0.050, "L2": 0.045, "L1": 0.042}

_LORDOSIS_DEG, _LORDOSIS_SD, _SLOPE_DEG, _SLOPE_SD = 48.7, 13.7, 37.5, 9.5
_TOGETHER, _APART = 0.80, 0.60  # correlation of sacral slope with lordosis in the same films, and what is left

# Range of motion between flexion and extension of each disc: mean and sd of rotation (deg) and of translation as a share
# of the depth (BMC Musculoskelet Disord 2006;7:45); L1/2 is taken like L2/3.
_MOTION = {
    "L5": (6.8, 6.3, 0.032, 0.04),
    "L4": (8.2, 5.3, 0.058, 0.03),
    "L3": (10.0, 4.8, 0.066, 0.04),
    "L2": (10.7, 4.6, 0.079, 0.04),
    "L1": (10.7, 4.6, 0.079, 0.04),
}


@dataclass(frozen=True, slots=True)
class Segment:
    """A vertebra and the disc below it. Lengths in mm, angle in degrees (opening anteriorly +), slip as a share of the endplate below."""

    depth: float
    anterior_height: float
    posterior_height: float
    lean: float
    disc_angle: float
    slip: float
    disc_height: float


@dataclass(frozen=True, slots=True)
class CoronalCurve:
    """A scoliosis: the spine leaves the sagittal plane by up to `offset_mm` at `apex_mm` above S1, and turns about its axis there."""

    offset_mm: float
    apex_mm: float
    extent_mm: float
    turn_deg: float

    def at(self, height_mm: float) -> tuple[float, float, float]:
        """Offset (mm, right +), coronal tilt and axial turn (deg) of a vertebra so far above S1; nothing at S1 itself."""
        rise = min(1.0, max(0.0, height_mm / 40.0))
        bump = np.exp(-0.5 * ((height_mm - self.apex_mm) / self.extent_mm) ** 2)
        slope = -self.offset_mm * bump * (height_mm - self.apex_mm) / self.extent_mm**2
        foot = np.exp(-0.5 * (self.apex_mm / self.extent_mm) ** 2)
        offset = self.offset_mm * (bump - foot) * rise
        return float(offset), float(np.degrees(np.arctan(slope)) * rise), float(self.turn_deg * bump * rise)


@dataclass(frozen=True, slots=True)
class Spine:
    """One spine: sacral slope (deg), depth of the S1 endplate (mm), segments from L5 upwards, coronal curve, what is wrong with it."""

    sacral_slope: float
    sacral_depth: float
    segments: tuple[Segment, ...]
    curve: CoronalCurve = CoronalCurve(0.0, 100.0, 60.0, 0.0)
    findings: tuple[Finding, ...] = ()

    @property
    def depth(self) -> float:
        """Depth of L3 in mm: the measure of everything else."""
        return self.segments[2].depth

    def corners(self) -> dict[str, FloatArray]:
        """Edges of the bodies in the sagittal plane, for S1 (2, 2) and each vertebra (4, 2), in the order of `anatomy.Corner`. Read-only.

        An edge is where the surfaces of endplate and wall would meet but for the rounded rim.
        """
        return dict(_corners(self))

    @property
    def lordosis(self) -> float:
        """Angle between the upper endplates of L1 and S1 in degrees, opening backwards +."""
        corners = self.corners()
        (ax, ay), (bx, by) = (corners[name][0] - corners[name][1] for name in ("S1", "L1"))
        return float(np.degrees(np.arctan2(ax * by - ay * bx, ax * bx + ay * by)))

    def poses(self) -> dict[str, tuple[FloatArray, FloatArray]]:
        """For S1 and each vertebra: how the coronal curve turns (3, 3) and shifts (3,) what is given about the sagittal plane."""
        found: dict[str, tuple[FloatArray, FloatArray]] = {"S1": (np.eye(3), np.zeros(3))}
        for name, corners in self.corners().items():
            if name != "S1":
                centre = np.array([*corners.mean(axis=0), 0.0])
                offset, tilt, turn = self.curve.at(float(centre[1]))
                about = rotation(tilt, turn)
                found[name] = (about, centre + (0.0, 0.0, offset) - about @ centre)
        return found

    def edges(self) -> FloatArray:
        """Those edges of L1 to S1 in the order of `LANDMARKS` (22, 2)."""
        return in_order(self.corners())

    def curved(self, flat: FloatArray) -> FloatArray:
        """Points (22, 2) in the sagittal plane, each where the coronal curve takes its vertebra's own median plane (22, 3)."""
        poses = self.poses()
        points = []
        for (vertebra, _), point in zip(LANDMARKS, flat, strict=True):
            turn, shift = poses[vertebra]
            points.append(turn @ (*point, 0.0) + shift)
        return np.array(points)


def in_order(corners: Mapping[str, FloatArray]) -> FloatArray:
    """Points of each vertebra, as `Spine.corners` gives them, in the order of `LANDMARKS` (22, 2)."""
    order = list(Corner)
    return np.array([corners[vertebra][order.index(corner)] for vertebra, corner in LANDMARKS])


@lru_cache(maxsize=8)
def _corners(spine: Spine) -> dict[str, FloatArray]:
    slope = np.radians(spine.sacral_slope)
    forward = np.array([np.cos(slope), -np.sin(slope)])
    posterior, anterior = np.zeros(2), forward * spine.sacral_depth
    found: dict[str, FloatArray] = {"S1": np.array([anterior, posterior])}
    for name, segment in zip(NAMES, spine.segments, strict=False):
        length = float(np.linalg.norm(anterior - posterior))
        along = (anterior - posterior) / length
        up = np.array([-along[1], along[0]])
        angle = np.radians(segment.disc_angle)
        behind = max(1.0, segment.disc_height - np.tan(angle) * segment.depth / 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        e, n = turn @ along, turn @ up
        inferior_posterior = posterior + along * segment.slip * length + up * behind
        inferior_anterior = inferior_posterior + e * segment.depth
        posterior = inferior_posterior + n * segment.posterior_height + e * segment.lean
        anterior = inferior_anterior + n * segment.anterior_height + e * segment.lean
        found[name] = np.array([anterior, posterior, inferior_anterior, inferior_posterior])
    for corners in found.values():
        corners.setflags(write=False)
    return found


def draw_spine(rng: np.random.Generator, healthy: bool = False) -> Spine:
    """A spine as people have them who come to be filmed: discs from young to worn, one in three with a slip, and the rest."""
    unit = rng.normal(35.0, 2.8)
    all_depths, all_heights, wear = rng.normal(0, 0.03), rng.normal(0, 0.05), rng.uniform(0.5, 1.15)
    findings = () if healthy else draw_findings(rng)
    segments = []
    for name in NAMES:
        depth, anterior, posterior, angle, slip, height = _MEANS[name]
        worn = wear * (1 + rng.normal(0, 0.2))
        slip += rng.normal(0, _SLIP_SD.get(name, 0.025))
        anterior += all_heights + rng.normal(0, 0.05)
        posterior += all_heights + rng.normal(0, 0.04)
        for finding in findings:
            if finding.at == name:
                slip += finding.slip
                anterior *= finding.anterior_height
                posterior *= finding.posterior_height
                worn *= finding.disc_height
        segments.append(
            Segment(
                depth=unit * (depth + all_depths + rng.normal(0, 0.03)),
                anterior_height=unit * anterior,
                posterior_height=unit * posterior,
                lean=unit * rng.normal(0, 0.025),
                disc_angle=angle + _ANGLE_SD.get(name, 3.0) * rng.normal(),
                slip=slip,
                disc_height=max(2.0, unit * height * worn),
            )
        )
    # Sacral slope goes with lordosis, as those who stand upright must have it.
    upright = Spine(0.0, unit, tuple(segments))
    slope = _SLOPE_DEG + _SLOPE_SD * (
        _TOGETHER * (upright.lordosis - _LORDOSIS_DEG) / _LORDOSIS_SD + _APART * rng.normal()
    )
    slope = float(np.clip(slope, 8, 68))
    curve = CoronalCurve(0.0, 100.0, 60.0, 0.0)
    if any(finding.kind == "scoliosis" for finding in findings):
        offset = rng.choice([-1.0, 1.0]) * rng.uniform(5, 28)
        curve = CoronalCurve(offset, rng.uniform(50, 180), rng.uniform(45, 80), offset * rng.uniform(0.2, 0.8))
    return Spine(slope, unit * rng.normal(0.95, 0.06), tuple(segments), curve, findings)


def with_slip(spine: Spine, slip: Finding) -> Spine:
    """The same spine with the vertebra that `slip` names as far forward on the next as it says, in place of any slip that it had."""
    segments, at = list(spine.segments), NAMES.index(slip.at)
    narrower = max(2.0, segments[at].disc_height * slip.disc_height)
    segments[at] = replace(segments[at], slip=slip.slip, disc_height=narrower)
    others = tuple(finding for finding in spine.findings if not (finding.at == slip.at and finding.slip))
    return replace(spine, segments=tuple(segments), findings=(*others, slip))


def draw_bend(rng: np.random.Generator, spine: Spine, unstable_share: float = 0.3) -> dict[Posture, Spine]:
    """The same bones in flexion, neutral and extension: each disc turns and slides by its own share of a drawn motion.

    Slide goes with turn as in healthy discs; with the chance `unstable_share` / 2 a level slides further. Whether that makes it
    unstable is for the corners to say, by the criteria of the day.
    """
    flexed, extended = [], []
    effort = rng.uniform(0.5, 1.1)
    for name, segment in zip(NAMES, spine.segments, strict=True):
        rotation_mean, rotation_sd, slide, slide_sd = _MOTION.get(name, (1.5, 1.0, 0.0, 0.01))
        turn = max(0.0, rng.normal(rotation_mean, rotation_sd)) * effort
        # A disc that turns further slides further.
        coupled = slide * (0.4 + 0.6 * turn / (rotation_mean * effort))
        shift = max(0.0, rng.normal(coupled, 0.8 * slide_sd)) * effort * 0.6
        if name in _MOTION and rng.random() < unstable_share * 0.5:
            shift += rng.uniform(0.05, 0.14)
        share = rng.uniform(0.45, 0.75)
        flexed.append(replace(segment, disc_angle=segment.disc_angle - turn * share, slip=segment.slip + shift * share))
        extended.append(
            replace(
                segment, disc_angle=segment.disc_angle + turn * (1 - share), slip=segment.slip - shift * (1 - share)
            )
        )
    tilt = rng.normal(0, 8, size=2)
    slopes = np.clip(spine.sacral_slope + tilt, 0, 75)
    return {
        Posture.FLEXION: replace(spine, sacral_slope=float(slopes[0]), segments=tuple(flexed)),
        Posture.NEUTRAL: spine,
        Posture.EXTENSION: replace(spine, sacral_slope=float(slopes[1]), segments=tuple(extended)),
    }
