"""What is measured of a vertebral body: its heights and its wedging, L1 to L5."""

from __future__ import annotations

from lumbar.anatomy import Vertebra
from lumbar.geometry import FloatArray
from lumbar.landmarks.spine import AnatomicalSpine
from lumbar.measurements.discs import distance
from lumbar.measurements.levels import IA, IP, SA, SP, Quantity, intervertebral_angle, measure_one
from lumbar.measurements.quantity import Measurement, Unmeasurable


def height_ratio(sa: FloatArray, sp: FloatArray, ia: FloatArray, ip: FloatArray) -> float:
    """The anterior height in % of the posterior one: below 100 a body is wedged.

    >>> import numpy as np
    >>> height_ratio(np.array([30.0, 21.0]), np.array([0.0, 28.0]), np.array([30.0, 0.0]), np.array([0.0, 0.0]))
    75.0
    """
    return 100 * distance(sa, ia) / distance(sp, ip)


def wedge_angle(sa: FloatArray, sp: FloatArray, ia: FloatArray, ip: FloatArray) -> float:
    """The angle from the inferior to the superior endplate, opening anteriorly +; a wedged body's is negative.

    >>> import numpy as np
    >>> round(wedge_angle(np.array([30.0, 25.0]), np.array([0.0, 28.0]), np.array([30.0, 0.0]), np.array([0.0, 0.0])), 2)
    -5.71
    """
    return intervertebral_angle(sa, sp, ia, ip)


BODY_QUANTITIES: tuple[Quantity, ...] = (
    Quantity("anterior_height", distance, (), (SA, IA), "mm", "|sa - ia|"),
    Quantity("posterior_height", distance, (), (SP, IP), "mm", "|sp - ip|"),
    Quantity("height_ratio", height_ratio, (), (SA, SP, IA, IP), "%", "100 |sa - ia| / |sp - ip|"),
    Quantity("wedge_angle", wedge_angle, (), (SA, SP, IA, IP), "deg", "ip->ia to sp->sa, opening anteriorly +"),
)
"""Everything that is measured of a body."""

GENANT_BOUNDARIES_PERCENT = (20.0, 25.0, 40.0)
"""Loss of height from which a deformity is mild, moderate and severe (Genant, J Bone Miner Res 1993;8:1137)."""


def measure_bodies(spine: AnatomicalSpine) -> tuple[Measurement | Unmeasurable, ...]:
    """Every quantity of L1 to L5; S1 has no inferior corners."""
    return tuple(
        measure_one(quantity, str(vertebra), quantity.of(vertebra, vertebra), spine)
        for vertebra in Vertebra
        if vertebra is not Vertebra.S1
        for quantity in BODY_QUANTITIES
    )


def genant_grade(height_ratio_percent: float) -> int:
    """0 none, 1 mild, 2 moderate, 3 severe, by how much lower one wall is than the other (Genant 1993).

    Of his three shapes only the wedge is seen: four corners do not show a biconcave endplate, and a crushed body, low in front and
    behind, needs its neighbours. His grading is a reader's impression; the percentages are his guide to it.

    >>> [genant_grade(ratio) for ratio in (100, 80.1, 80, 75, 60, 130)]
    [0, 0, 1, 2, 3, 1]
    """
    loss = 100 * (1 - min(height_ratio_percent, 1e4 / height_ratio_percent) / 100)
    return sum(loss >= boundary - 1e-9 for boundary in GENANT_BOUNDARIES_PERCENT)
