"""Points -> what a reader measures, each with its error bar, or the reason why not."""

from lumbar.measurements.levels import (
    ENDPLATE_DISPLACEMENT,
    INTERVERTEBRAL_ANGLE,
    QUANTITIES,
    SACRAL_SLOPE,
    SLIP,
    WALL_DISPLACEMENT,
    Quantity,
    measure,
    measure_lordosis,
    measure_sacral_slope,
)
from lumbar.measurements.plausibility import implausibilities
from lumbar.measurements.quantity import Measurement, Unmeasurable, quantity_from_json

__all__ = [
    "ENDPLATE_DISPLACEMENT",
    "INTERVERTEBRAL_ANGLE",
    "QUANTITIES",
    "SACRAL_SLOPE",
    "SLIP",
    "WALL_DISPLACEMENT",
    "Measurement",
    "Quantity",
    "Unmeasurable",
    "implausibilities",
    "measure",
    "measure_lordosis",
    "measure_sacral_slope",
    "quantity_from_json",
]
