"""The 22 corners on the film, and the same corners in the anatomical frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumbar.anatomy import LANDMARK_INDEX, LANDMARKS, Corner, Side, Vertebra
from lumbar.geometry import FloatArray, read_only
from lumbar.radiograph import PixelSpacing, film_to_anatomical

COUNT = len(LANDMARKS)


@dataclass(frozen=True, slots=True, eq=False)
class SpineLandmarks:
    """What was found on one film, in film pixels (x right, y down, pixel centres at integers).

    points_px (22, 2): in the order of `anatomy.LANDMARKS`; a row of NaN is an absent corner.
    covariance_px (22, 2, 2): of each corner's error; NaN where it is not known.
    confidence (22,): the network's own score in [0, 1]; it is not a probability.
    An implausible spine can be held here: implausibility is reported elsewhere, never raised.
    """

    points_px: FloatArray
    covariance_px: FloatArray
    confidence: FloatArray

    def __post_init__(self) -> None:
        for name, shape in (("points_px", (COUNT, 2)), ("covariance_px", (COUNT, 2, 2)), ("confidence", (COUNT,))):
            array = read_only(getattr(self, name))
            if array.shape != shape:
                raise ValueError(f"{name} must have shape {shape}; got {array.shape}")
            object.__setattr__(self, name, array)
        partly = np.isnan(self.points_px).any(axis=1) & ~np.isnan(self.points_px).all(axis=1)
        if partly.any() or np.isinf(self.points_px).any():
            raise ValueError("each row of points_px must be two finite numbers, or two NaN for an absent corner")
        if not np.all((self.confidence >= 0) & (self.confidence <= 1)):
            raise ValueError("confidence must lie in [0, 1]")

    @classmethod
    def exact(cls, points_px: FloatArray) -> SpineLandmarks:
        """Corners known without error: a human's, or the simulator's."""
        points = np.asarray(points_px, dtype=np.float64)
        return cls(points, np.zeros((COUNT, 2, 2)), np.ones(COUNT))

    @property
    def present(self) -> np.ndarray:
        """(22,) bool: which corners were found."""
        return ~np.isnan(self.points_px[:, 0])

    def to_anatomical(self, anterior: Side, spacing: PixelSpacing | None) -> AnatomicalSpine:
        """The same corners in mm, anterior +x, up +y; in columns of the film where `spacing` is None."""
        row, column = (1.0, 1.0) if spacing is None else (spacing.row_mm, spacing.column_mm)
        to_mm = film_to_anatomical(anterior, column, row)
        return AnatomicalSpine(
            to_mm.apply(self.points_px), to_mm.apply_covariance(self.covariance_px), in_mm=spacing is not None
        )


@dataclass(frozen=True, slots=True, eq=False)
class AnatomicalSpine:
    """The 22 corners in the anatomical frame: anterior +x, up +y, whichever way the patient faced the film.

    points (22, 2) and covariance (22, 2, 2) are in mm if `in_mm`, else in an unknown unit: angles and ratios only.
    """

    points: FloatArray
    covariance: FloatArray
    in_mm: bool

    def __post_init__(self) -> None:
        for name, shape in (("points", (COUNT, 2)), ("covariance", (COUNT, 2, 2))):
            array = read_only(getattr(self, name))
            if array.shape != shape:
                raise ValueError(f"{name} must have shape {shape}; got {array.shape}")
            object.__setattr__(self, name, array)

    def corner(self, vertebra: Vertebra, corner: Corner) -> FloatArray | None:
        """The corner's (x, y), or None where it is absent."""
        point = self.points[LANDMARK_INDEX[vertebra, corner]]
        return None if np.isnan(point).any() else point


def endplate_depth(points: FloatArray) -> float:
    """Mean length of the endplates that are there, in the unit of the points (22, 2): the yardstick where mm are unknown.

    NaN where no endplate has both of its corners.
    """
    lengths = np.linalg.norm(points[::2] - points[1::2], axis=1)
    known = lengths[np.isfinite(lengths)]
    return float(known.mean()) if known.size else float("nan")
