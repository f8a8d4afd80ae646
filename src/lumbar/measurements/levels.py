"""What is measured at a level: slip and angle between two vertebrae.

U is the upper and L the lower vertebra; sa, sp, ia, ip are superior and inferior, anterior and posterior corners, in
the anatomical frame (anterior +x, up +y). To add a measurement, write its formula and give it a row in `QUANTITIES`.
A formula takes points (2,) and returns NaN where two of them that span a line fall together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lumbar.anatomy import LANDMARK_INDEX, LEVELS, Corner, Level, Vertebra, corners_of
from lumbar.geometry import FloatArray, signed_angle_deg, unit
from lumbar.landmarks.spine import AnatomicalSpine
from lumbar.measurements.quantity import Measurement, Unmeasurable

SA, SP = Corner.SUPERIOR_ANTERIOR, Corner.SUPERIOR_POSTERIOR
IA, IP = Corner.INFERIOR_ANTERIOR, Corner.INFERIOR_POSTERIOR

Landmark = tuple[Vertebra, Corner]


def displacement_from_wall(upper_ip: FloatArray, lower_sp: FloatArray, lower_ip: FloatArray) -> float:
    """Distance of U.ip from the line along L's posterior wall, anterior + (Hu et al., LSLD-Net, Fig. 1a).

    >>> displacement_from_wall(np.array([4.0, 8.0]), np.array([0.0, 0.0]), np.array([0.0, -25.0]))
    4.0
    """
    up = unit(lower_sp - lower_ip)
    anterior = np.array([up[1], -up[0]])
    return float((upper_ip - lower_sp) @ anterior)


def displacement_along_endplate(upper_ip: FloatArray, lower_sa: FloatArray, lower_sp: FloatArray) -> float:
    """How far U.ip lies in front of L.sp along L's superior endplate, anterior + (the type of Taillard and Wiltse).

    It needs no inferior corner of L, so it works at S1.

    >>> displacement_along_endplate(np.array([4.0, 8.0]), np.array([32.0, 0.0]), np.array([0.0, 0.0]))
    4.0
    """
    return float((upper_ip - lower_sp) @ unit(lower_sa - lower_sp))


def slip_percent(upper_ip: FloatArray, lower_sa: FloatArray, lower_sp: FloatArray) -> float:
    """The displacement along L's superior endplate in % of its length, anterior + (Meyerding 1931, Taillard 1954).

    >>> slip_percent(np.array([8.0, 5.0]), np.array([32.0, 0.0]), np.array([0.0, 0.0]))
    25.0
    """
    depth = np.linalg.norm(lower_sa - lower_sp)
    return float(100 * displacement_along_endplate(upper_ip, lower_sa, lower_sp) / depth)


def intervertebral_angle(
    upper_ia: FloatArray, upper_ip: FloatArray, lower_sa: FloatArray, lower_sp: FloatArray
) -> float:
    """The angle from L's superior endplate to U's inferior one, opening anteriorly + (Hu et al., Fig. 1b), in degrees.

    >>> intervertebral_angle(np.array([0.0, 42.0]), np.array([0.0, 10.0]), np.array([32.0, 0.0]), np.array([0.0, 0.0]))
    90.0
    """
    return float(signed_angle_deg(unit(lower_sa - lower_sp), unit(upper_ia - upper_ip)))


def sacral_slope(sa: FloatArray, sp: FloatArray) -> float:
    """How far S1's superior endplate falls forwards from the film's horizontal, in degrees (Duval-Beaupere 1992).

    It takes the film's edge for the horizontal: a film that was turned, or a patient who lay, gives another figure.

    >>> sacral_slope(np.array([20.0, -20.0]), np.array([0.0, 0.0]))
    45.0
    """
    return float(signed_angle_deg(unit(sa - sp), np.array([1.0, 0.0])))


@dataclass(frozen=True, slots=True)
class Quantity:
    """A row of the table: a formula and the corners that it takes from the upper and the lower vertebra.

    method: how it is constructed, in words.
    """

    name: str
    formula: Callable[..., float]
    upper: tuple[Corner, ...]
    lower: tuple[Corner, ...]
    unit: str
    method: str

    def of(self, upper: Vertebra, lower: Vertebra) -> tuple[Landmark, ...]:
        """The corners it needs of these two vertebrae, in the order of the formula's arguments."""
        return tuple((upper, corner) for corner in self.upper) + tuple((lower, corner) for corner in self.lower)


WALL_DISPLACEMENT = Quantity(
    "sagittal_displacement_wall",
    displacement_from_wall,
    (IP,),
    (SP, IP),
    "mm",
    "distance of U.ip from the line L.sp-L.ip, anterior + (Hu et al., Fig. 1a)",
)
ENDPLATE_DISPLACEMENT = Quantity(
    "sagittal_displacement_endplate",
    displacement_along_endplate,
    (IP,),
    (SA, SP),
    "mm",
    "U.ip - L.sp along L.sp->L.sa, anterior +",
)
SLIP = Quantity(
    "slip", slip_percent, (IP,), (SA, SP), "%", "displacement along the endplate / |L.sa - L.sp|, anterior +"
)
INTERVERTEBRAL_ANGLE = Quantity(
    "intervertebral_angle",
    intervertebral_angle,
    (IA, IP),
    (SA, SP),
    "deg",
    "L.sp->L.sa to U.ip->U.ia, opening anteriorly + (Hu et al., Fig. 1b)",
)
LORDOSIS = Quantity(
    "lordosis",
    intervertebral_angle,
    (SA, SP),
    (SA, SP),
    "deg",
    "S1.sp->S1.sa to L1.sp->L1.sa, opening anteriorly + (Cobb's construction)",
)

SACRAL_SLOPE = Quantity(
    "sacral_slope",
    sacral_slope,
    (),
    (SA, SP),
    "deg",
    "S1.sp->S1.sa to the film's horizontal, falling forwards + (Duval-Beaupere 1992)",
)

QUANTITIES: tuple[Quantity, ...] = (WALL_DISPLACEMENT, ENDPLATE_DISPLACEMENT, SLIP, INTERVERTEBRAL_ANGLE)
"""Everything that is measured at a level."""

NO_SPACING = "no pixel spacing: lengths in mm need it, give --spacing"


def measure(spine: AnatomicalSpine) -> tuple[Measurement | Unmeasurable, ...]:
    """Every quantity at every level, from L1/L2 down: what cannot be measured says why, and the rest stays measured."""
    return tuple(measured_at(level, quantity, spine) for level in LEVELS for quantity in QUANTITIES)


def measure_lordosis(spine: AnatomicalSpine) -> Measurement | Unmeasurable:
    """The angle between the superior endplates of L1 and S1 in degrees, lordotic +, at the site "L1-S1"."""
    return measure_one(LORDOSIS, "L1-S1", LORDOSIS.of(Vertebra.L1, Vertebra.S1), spine)


def measure_sacral_slope(spine: AnatomicalSpine) -> Measurement | Unmeasurable:
    """The fall of S1's superior endplate from the film's horizontal in degrees, at the site "S1"."""
    return measure_one(SACRAL_SLOPE, "S1", SACRAL_SLOPE.of(Vertebra.S1, Vertebra.S1), spine)


def measured_at(level: Level, quantity: Quantity, spine: AnatomicalSpine) -> Measurement | Unmeasurable:
    """One quantity at one level."""
    return measure_one(quantity, str(level), quantity.of(level.upper, level.lower), spine)


def measure_one(
    quantity: Quantity, site: str, landmarks: Sequence[Landmark], spine: AnatomicalSpine
) -> Measurement | Unmeasurable:
    """The quantity of these corners, called after `site`; or why it could not be measured."""
    reason = _why_not(quantity, landmarks, spine)
    if reason is not None:
        return Unmeasurable(quantity.name, site, reason)
    rows = [LANDMARK_INDEX[landmark] for landmark in landmarks]
    points = spine.points[rows]
    value = _value(quantity, points)
    if not np.isfinite(value):
        return Unmeasurable(quantity.name, site, "its corners lie too close together or too far apart to measure")
    error = propagated_error(quantity, points, spine.covariance[rows])
    return Measurement(quantity.name, site, value, quantity.unit, error, quantity.method)


def _why_not(quantity: Quantity, landmarks: Sequence[Landmark], spine: AnatomicalSpine) -> str | None:
    for vertebra, corner in landmarks:
        if corner not in corners_of(vertebra):
            half, side = corner.value.split("_")
            return f"{vertebra} has no {side}-{half} corner, and this construction needs one"
    if quantity.unit == "mm" and not spine.in_mm:
        return NO_SPACING
    absent = [_name(landmark) for landmark in landmarks if spine.corner(*landmark) is None]
    if absent:
        return f"{' and '.join(absent)} absent"
    for i, one in enumerate(landmarks):
        for other in landmarks[i + 1 :]:
            if one[0] is other[0] and np.array_equal(*(spine.points[LANDMARK_INDEX[c]] for c in (one, other))):
                return f"{_name(one)} and {_name(other)} fall together"
    return None


def _name(landmark: Landmark) -> str:
    vertebra, corner = landmark
    return f"{vertebra} {corner.replace('_', ' ')} corner"


def _value(quantity: Quantity, points: FloatArray) -> float:
    with np.errstate(all="ignore"):  # what is degenerate comes out as NaN or infinite, and the caller says so
        return quantity.formula(*points)


def propagated_error(quantity: Quantity, points: FloatArray, covariance: FloatArray) -> float | None:
    """Standard error of the quantity to first order, sqrt(sum of J C J^T) with the Jacobian J by central differences.

    points (n, 2) are the formula's arguments, covariance (n, 2, 2) that of their errors, independent between corners.
    None where a covariance is not known.
    """
    if not np.isfinite(covariance).all():
        return None
    slope = gradient(quantity, points)
    with np.errstate(all="ignore"):
        variance = float(np.einsum("ni,nij,nj->", slope, covariance, slope))
    return float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else None


def gradient(quantity: Quantity, points: FloatArray) -> FloatArray:
    """How the quantity changes with each coordinate of its corners, (n, 2), by central differences; NaN where it has no value."""
    step = 1e-4 * float(np.ptp(points, axis=0).max())
    slope = np.zeros_like(points)
    with np.errstate(all="ignore"):
        for index in np.ndindex(*points.shape):
            shift = np.zeros_like(points)
            shift[index] = step
            change = quantity.formula(*(points + shift)) - quantity.formula(*(points - shift))
            if quantity.unit == "deg":
                change = (change + 180) % 360 - 180  # across the cut at 180 degrees
            slope[index] = np.float64(change) / (2 * step)
    return slope
