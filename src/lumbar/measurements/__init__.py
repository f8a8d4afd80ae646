"""Points -> what a reader measures, each with its error bar, or the reason why not."""

from lumbar.landmarks.spine import AnatomicalSpine
from lumbar.measurements.bodies import BODY_QUANTITIES, genant_grade, measure_bodies
from lumbar.measurements.changes import DISPLACEMENT_AT, LevelChange, displacement_at, measure_changes
from lumbar.measurements.discs import DISC_QUANTITIES, measure_discs
from lumbar.measurements.levels import (
    ENDPLATE_DISPLACEMENT,
    INTERVERTEBRAL_ANGLE,
    LORDOSIS,
    QUANTITIES,
    SACRAL_SLOPE,
    SLIP,
    WALL_DISPLACEMENT,
    Quantity,
    measure,
    measure_lordosis,
    measure_sacral_slope,
    measured_at,
)
from lumbar.measurements.plausibility import implausibilities
from lumbar.measurements.quantity import Measurement, Unmeasurable, quantity_from_json


def measure_everything(spine: AnatomicalSpine) -> tuple[Measurement | Unmeasurable, ...]:
    """All quantities: at the levels, of the discs, of the bodies, and of the spine."""
    return (
        *measure(spine),
        *measure_discs(spine),
        *measure_bodies(spine),
        measure_lordosis(spine),
        measure_sacral_slope(spine),
    )


__all__ = [
    "BODY_QUANTITIES",
    "DISC_QUANTITIES",
    "DISPLACEMENT_AT",
    "ENDPLATE_DISPLACEMENT",
    "INTERVERTEBRAL_ANGLE",
    "LORDOSIS",
    "QUANTITIES",
    "SACRAL_SLOPE",
    "SLIP",
    "WALL_DISPLACEMENT",
    "LevelChange",
    "Measurement",
    "Quantity",
    "Unmeasurable",
    "displacement_at",
    "genant_grade",
    "implausibilities",
    "measure",
    "measure_bodies",
    "measure_changes",
    "measure_discs",
    "measure_everything",
    "measure_lordosis",
    "measure_sacral_slope",
    "measured_at",
    "quantity_from_json",
]
