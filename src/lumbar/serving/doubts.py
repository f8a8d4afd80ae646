"""How doubtful a reading is, for the order of the worklist: a sum whose parts can be read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumbar.anatomy import Vertebra, rows_of
from lumbar.landmarks.spine import COUNT, endplate_depth
from lumbar.reading import Reading

WIDE_ERROR = 0.06
"""A corner whose error exceeds this share of an endplate is flagged: about 2 mm. Our own choice."""

LOW_CONFIDENCE = 0.5
"""Above the reader's `Calibration.unsure`, below which there is a warning, too."""

_NO_SPINE, _WARNING, _ABSENT, _ERROR, _CONFIDENCE = 100.0, 10.0, 4.0, 100.0, 10.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """score: 0 is no doubt; flags: why, in words."""

    score: float
    flags: tuple[str, ...]


def doubt_about(reading: Reading) -> Doubt:
    """Ten points a warning, four a missing vertebra, a hundred times the median corner error in endplates, ten times what confidence lacks.

    A film without any corner scores a hundred. The weights are our own choice; they order a worklist and decide nothing.
    """
    landmarks = reading.landmarks
    if not landmarks.present.any():
        return Doubt(_NO_SPINE, ("no corner",))
    flags = []
    absent = [v.value for v in Vertebra if np.isnan(landmarks.points_px[rows_of(v)]).any()]
    if absent:
        flags.append(f"{', '.join(absent)} incomplete")
    if reading.warnings:
        flags.append(f"{len(reading.warnings)} warning{'s' if len(reading.warnings) > 1 else ''}")
    errors = corner_errors(reading)
    wide = int((errors > WIDE_ERROR).sum())
    if wide:
        flags.append(f"{wide} uncertain corner{'s' if wide > 1 else ''}")
    if reading.confidence < LOW_CONFIDENCE:
        flags.append("low confidence")
    known = errors[np.isfinite(errors)]
    score = _WARNING * len(reading.warnings) + _ABSENT * len(absent) + _CONFIDENCE * (1 - reading.confidence)
    return Doubt(round(score + _ERROR * (float(np.median(known)) if len(known) else WIDE_ERROR), 3), tuple(flags))


def corner_errors(reading: Reading) -> np.ndarray:
    """(22,) standard deviation of each corner, in mean endplate depths; NaN where it is not known."""
    spine = reading.spine
    depth = endplate_depth(spine.points)
    if not np.isfinite(depth) or depth == 0:
        return np.full(COUNT, np.nan)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(np.trace(spine.covariance, axis1=1, axis2=2) / 2) / depth)
