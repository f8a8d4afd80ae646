"""What is measured of a disc: its heights, and how much of the lordosis lies at its level.

Letters are those of `levels`: U the upper, L the lower vertebra; sa, sp, ia, ip their corners in the anatomical frame.
"""

from __future__ import annotations

import numpy as np

from lumbar.anatomy import LEVELS
from lumbar.geometry import FloatArray
from lumbar.landmarks.spine import AnatomicalSpine
from lumbar.measurements.levels import IA, IP, SA, SP, Quantity, intervertebral_angle, measured_at
from lumbar.measurements.quantity import Measurement, Unmeasurable


def distance(one: FloatArray, other: FloatArray) -> float:
    """Between two corners.

    >>> distance(np.array([0.0, 3.0]), np.array([4.0, 0.0]))
    5.0
    """
    return float(np.linalg.norm(one - other))


def middle_height(upper_ia: FloatArray, upper_ip: FloatArray, lower_sa: FloatArray, lower_sp: FloatArray) -> float:
    """Distance of the middles of the two endplates.

    >>> middle_height(np.array([30.0, 12.0]), np.array([0.0, 6.0]), np.array([30.0, 0.0]), np.array([0.0, 0.0]))
    9.0
    """
    return distance((upper_ia + upper_ip) / 2, (lower_sa + lower_sp) / 2)


def height_index(upper_ia: FloatArray, upper_ip: FloatArray, lower_sa: FloatArray, lower_sp: FloatArray) -> float:
    """Anterior and posterior height together, in % of the two endplates' lengths together (after Farfan 1973).

    A ratio, so it needs no pixel spacing and no magnification.

    >>> height_index(np.array([30.0, 12.0]), np.array([0.0, 12.0]), np.array([30.0, 0.0]), np.array([0.0, 0.0]))
    40.0
    """
    heights = distance(upper_ia, lower_sa) + distance(upper_ip, lower_sp)
    return 100 * heights / (distance(upper_ia, upper_ip) + distance(lower_sa, lower_sp))


DISC_QUANTITIES: tuple[Quantity, ...] = (
    Quantity("disc_height_anterior", distance, (IA,), (SA,), "mm", "|U.ia - L.sa|"),
    Quantity("disc_height_middle", middle_height, (IA, IP), (SA, SP), "mm", "between the middles of U.ia-U.ip and L.sa-L.sp"),
    Quantity("disc_height_posterior", distance, (IP,), (SP,), "mm", "|U.ip - L.sp|"),
    Quantity(
        "disc_height_index", height_index, (IA, IP), (SA, SP), "%",
        "100 (|U.ia - L.sa| + |U.ip - L.sp|) / (|U.ia - U.ip| + |L.sa - L.sp|) (after Farfan 1973)",
    ),
    Quantity(
        "segmental_lordosis", intervertebral_angle, (SA, SP), (SA, SP), "deg",
        "L.sp->L.sa to U.sp->U.sa, opening anteriorly +; the five levels add up to the lordosis from L1 to S1",
    ),
)  # fmt: skip
"""Everything that is measured of a disc."""


def measure_discs(spine: AnatomicalSpine) -> tuple[Measurement | Unmeasurable, ...]:
    """Every quantity at every level, from L1/L2 down."""
    return tuple(measured_at(level, quantity, spine) for level in LEVELS for quantity in DISC_QUANTITIES)
