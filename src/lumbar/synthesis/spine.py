"""A random but possible spine in the sagittal plane: T8 to S5, in mm, anterior +x and up +y, S1's posterior corner at 0.

Means and deviations of the lumbar levels are those of 45 annotated lateral films of BUU-LSPINE (Klinwichit et al., Appl.
Sci. 2023, 13, 8646); the thoracic ones and everything below S1 continue them by eye.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lumbar.anatomy import LANDMARKS, Corner, Posture
from lumbar.geometry import FloatArray

NAMES = ("L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9", "T8")
"""From the sacrum upwards."""

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
}
_ANGLE_SD = {"L5": 5.9, "L4": 6.0, "L3": 3.4, "L2": 3.9, "L1": 4.2}
_SLIP_SD = {"L5": 0.055, "L4": 0.055, "L3": 0.050, "L2": 0.045, "L1": 0.042}

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
class Spine:
    """Parameters of one spine: sacral slope in degrees, depth of the S1 endplate in mm, segments from L5 upwards."""

    sacral_slope: float
    sacral_depth: float
    segments: tuple[Segment, ...]

    def corners(self) -> dict[str, FloatArray]:
        """For S1 (2, 2) and each vertebra (4, 2): the corners in the order of `anatomy.Corner`."""
        slope = np.radians(self.sacral_slope)
        forward = np.array([np.cos(slope), -np.sin(slope)])
        posterior, anterior = np.zeros(2), forward * self.sacral_depth
        found: dict[str, FloatArray] = {"S1": np.array([anterior, posterior])}
        for name, segment in zip(NAMES, self.segments, strict=False):
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
        return found

    def landmarks(self) -> FloatArray:
        """The 22 landmarks (22, 2) in mm."""
        corners, order = self.corners(), list(Corner)
        return np.array([corners[vertebra][order.index(corner)] for vertebra, corner in LANDMARKS])


def draw_spine(rng: np.random.Generator) -> Spine:
    """A spine as people have them: one in three with a slip, one in twelve with a fracture, discs from young to worn."""
    unit = rng.normal(35.0, 2.8)
    all_depths, all_heights, wear = rng.normal(0, 0.03), rng.normal(0, 0.05), rng.uniform(0.5, 1.15)
    lordosis = rng.normal(0, 1.0)
    slipped = rng.choice(["none", "L3", "L4", "L5"], p=[0.62, 0.06, 0.18, 0.14])
    fractured = rng.choice(["none", "T12", "L1", "L2", "L3"], p=[0.92, 0.02, 0.03, 0.02, 0.01])
    segments = []
    for name in NAMES:
        depth, anterior, posterior, angle, slip, height = _MEANS[name]
        worn = wear * (1 + rng.normal(0, 0.2))
        slip += rng.normal(0, _SLIP_SD.get(name, 0.025))
        if name == slipped:
            slip += rng.choice([-1.0, 1.0], p=[0.12, 0.88]) * rng.uniform(0.06, 0.2 if rng.random() < 0.5 else 0.65)
            worn *= rng.uniform(0.35, 0.95)
        anterior += all_heights + rng.normal(0, 0.05)
        if name == fractured:
            anterior *= rng.uniform(0.5, 0.8)
        segments.append(
            Segment(
                depth=unit * (depth + all_depths + rng.normal(0, 0.03)),
                anterior_height=unit * anterior,
                posterior_height=unit * (posterior + all_heights + rng.normal(0, 0.04)),
                lean=unit * rng.normal(0, 0.025),
                disc_angle=angle + _ANGLE_SD.get(name, 3.0) * (0.5 * lordosis + 0.87 * rng.normal()),
                slip=slip,
                disc_height=max(2.0, unit * height * worn),
            )
        )
    slope = float(np.clip(37.5 + 9.5 * (0.7 * lordosis + 0.71 * rng.normal()), 8, 68))
    return Spine(slope, unit * rng.normal(0.95, 0.06), tuple(segments))


def draw_bend(rng: np.random.Generator, spine: Spine, unstable_share: float = 0.3) -> dict[Posture, Spine]:
    """The same bones in flexion, neutral and extension: each disc turns and slides by its own share of a drawn motion.

    A motion is unstable with the chance `unstable_share` a level; the truth is what the corners then measure.
    """
    flexed, extended = [], []
    effort = rng.uniform(0.5, 1.1)
    for name, segment in zip(NAMES, spine.segments, strict=True):
        rotation, rotation_sd, slide, slide_sd = _MOTION.get(name, (3.0, 2.0, 0.0, 0.01))
        turn = max(0.0, rng.normal(rotation, rotation_sd)) * effort
        shift = max(0.0, rng.normal(slide, slide_sd)) * effort * 0.6
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
    return {
        Posture.FLEXION: Spine(float(np.clip(spine.sacral_slope + tilt[0], 0, 75)), spine.sacral_depth, tuple(flexed)),
        Posture.NEUTRAL: spine,
        Posture.EXTENSION: Spine(
            float(np.clip(spine.sacral_slope + tilt[1], 0, 75)), spine.sacral_depth, tuple(extended)
        ),
    }
