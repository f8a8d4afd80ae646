"""One film's corners without its pixels: what the formats of other tools hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from lumbar.anatomy import LANDMARKS
from lumbar.geometry import FloatArray, read_only
from lumbar.landmarks.spine import COUNT

NAMES = tuple(f"{vertebra}_{corner}" for vertebra, corner in LANDMARKS)
"""L1_superior_anterior … S1_superior_posterior, in the order of `anatomy.LANDMARKS`."""

CLASS_NAME = "lumbosacral"
"""What the box around the 22 corners is called in formats with classes."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """The corners (22, 2) of a film of `width` x `height` pixels that faces left, in film pixels; NaN where not marked.

    film: the film's path within the data set, with slashes.
    Raises ValueError where it leaves the data set, or a size or a point is none.
    """

    film: str
    width: int
    height: int
    points_px: FloatArray

    def __post_init__(self) -> None:
        path = PurePosixPath(self.film)
        if not path.name or path.is_absolute() or ".." in path.parts or "\\" in self.film:
            raise ValueError(f"film must be a path within the data set, such as 0417-F-062Y1.jpg; got {self.film!r}")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"width and height of {self.film} must be positive; got {self.width} and {self.height}")
        points = read_only(self.points_px)
        if points.shape != (COUNT, 2):
            raise ValueError(f"points_px of {self.film} must have shape ({COUNT}, 2); got {points.shape}")
        if np.isinf(points).any() or (np.isnan(points[:, 0]) != np.isnan(points[:, 1])).any():
            raise ValueError(f"each of points_px of {self.film} must be two finite numbers, or two NaN")
        object.__setattr__(self, "points_px", points)

    @property
    def marked(self) -> np.ndarray:
        """(22,) bool: which corners were marked."""
        return ~np.isnan(self.points_px[:, 0])

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """The smallest upright rectangle (x0, y0, x1, y1) around the corners in film pixels; None if none is marked."""
        if not self.marked.any():
            return None
        x0, y0 = map(float, np.nanmin(self.points_px, axis=0))
        x1, y1 = map(float, np.nanmax(self.points_px, axis=0))
        return x0, y0, x1, y1

    def beside(self, folder: Path, suffix: str) -> Path:
        """The file in `folder` that is named after the film."""
        return folder / PurePosixPath(self.film).with_suffix(suffix)
