"""One film's truth beside what was found on it, and the units in which the difference is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lumbar.anatomy import Side, Vertebra, rows_of
from lumbar.geometry import FloatArray, read_only
from lumbar.landmarks.spine import COUNT, AnatomicalSpine, SpineLandmarks, endplate_depth
from lumbar.radiograph import PixelSpacing

INPUT = (1024, 512)
"""Height and width of the paper's network input (III.B)."""

BOX_SHARE = 0.85
"""How much of that input's height or width L1 to S1 take where its pixels are counted. The paper does not say; our own choice."""

SHIFT = 0.4
"""A film whose median corner error exceeds this share of an endplate's depth has its names off by a level.

A level is about one depth high, and a film that is merely read badly stays far below."""


class Unit(StrEnum):
    """What an error is counted in."""

    INPUT_PX = "input px"
    FILM_PX = "film px"
    DIAGONAL = "% of the diagonal"
    MM = "mm"
    DEPTH = "endplate depths"


@dataclass(frozen=True, slots=True, eq=False)
class ReadCase:
    """A film with true and found landmarks (22, 2), both in film pixels; NaN where nobody marked one, or none was found.

    height, width: of the film in pixels. anterior: the side that is. spacing: None where it is not known; then nothing is in mm.
    patient: whose film it is; films of one patient are not independent.
    """

    film: str
    patient: str
    truth_px: FloatArray
    found_px: FloatArray
    height: int
    width: int
    anterior: Side
    spacing: PixelSpacing | None = None

    def __post_init__(self) -> None:
        for name in ("truth_px", "found_px"):
            points = read_only(getattr(self, name))
            if points.shape != (COUNT, 2):
                raise ValueError(f"{name} must have shape ({COUNT}, 2); got {points.shape}")
            object.__setattr__(self, name, points)
        if np.isnan(self.truth_px).all():
            raise ValueError(f"{self.film}: a case needs at least one true landmark")

    @property
    def annotated(self) -> np.ndarray:
        """(22,) bool: which corners have a truth."""
        return ~np.isnan(self.truth_px[:, 0])

    @property
    def missed(self) -> np.ndarray:
        """(22,) bool: which of those were not found."""
        return np.asarray(self.annotated & np.isnan(self.found_px[:, 0]))

    @property
    def shifted(self) -> bool:
        """Whether the names are off by a level, or nothing was found at all."""
        errors = self.radial_errors(Unit.DEPTH)
        assert errors is not None
        return bool(np.median(errors[self.annotated]) > SHIFT)

    def per_pixel(self, unit: Unit) -> FloatArray | None:
        """How much of `unit` one film pixel is in x and in y, (2,); None where that is not known."""
        aspect = np.array([1.0, 1.0 if self.spacing is None else self.spacing.row_mm / self.spacing.column_mm])
        if unit is Unit.FILM_PX:
            return np.ones(2)
        if unit is Unit.DIAGONAL:
            return np.full(2, 100 / np.hypot(self.height, self.width))
        if unit is Unit.MM:
            return None if self.spacing is None else np.array([self.spacing.column_mm, self.spacing.row_mm])
        square = self.truth_px * aspect
        if unit is Unit.DEPTH:
            return np.asarray(aspect / endplate_depth(square))
        size = np.maximum(np.nanmax(square, axis=0) - np.nanmin(square, axis=0), 1e-9)
        return np.asarray(aspect * BOX_SHARE * np.min(np.array([INPUT[1], INPUT[0]]) / size))

    def errors(self, unit: Unit) -> FloatArray | None:
        """Found less true, (22, 2); NaN where either is missing; None where the unit is not known on this film."""
        scale = self.per_pixel(unit)
        return None if scale is None else (self.found_px - self.truth_px) * scale

    def radial_errors(self, unit: Unit, norm: int = 2) -> FloatArray | None:
        """Distances (22,), Euclidean or, with norm 1, |dx| + |dy|; NaN where nobody marked a corner.

        A missed corner counts as one mean endplate depth: what it would cost to take the next vertebra for its own.
        """
        errors, scale = self.errors(unit), self.per_pixel(unit)
        depth = self.per_pixel(Unit.DEPTH)
        if errors is None or scale is None or depth is None:
            return None
        missed = float(np.mean(scale / depth))
        distances = np.linalg.norm(errors, ord=norm, axis=1)
        return np.where(self.missed, missed, distances)

    def spine(self, points_px: FloatArray) -> AnatomicalSpine:
        """Landmarks of this film in the anatomical frame, in mm where the spacing is known."""
        return SpineLandmarks.exact(points_px).to_anatomical(self.anterior, self.spacing)


LEVEL_ROWS: dict[str, slice] = {str(vertebra): rows_of(vertebra) for vertebra in Vertebra}
"""Rows of each vertebra."""
