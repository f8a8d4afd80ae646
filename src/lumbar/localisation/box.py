"""The lumbosacral area as a box in film pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class LumbosacralBox:
    """The smallest upright rectangle around the 22 landmarks, in film pixels, with the detector's score in [0, 1]."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float

    def __post_init__(self) -> None:
        if not np.all(np.isfinite(self.edges)) or self.x1 <= self.x0 or self.y1 <= self.y0:
            raise ValueError(f"a box needs finite edges with x1 > x0 and y1 > y0; got {self.edges}")
        if not 0 <= self.score <= 1:
            raise ValueError(f"score must lie in [0, 1]; got {self.score}")

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1)."""
        return self.x0, self.y0, self.x1, self.y1

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y)."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def grown(self, factor: float) -> tuple[float, float, float, float]:
        """The edges of the box about the same centre, `factor` times as wide and as high."""
        (x, y), (half_width, half_height) = (
            self.centre,
            ((self.x1 - self.x0) * factor / 2, (self.y1 - self.y0) * factor / 2),
        )
        return x - half_width, y - half_height, x + half_width, y + half_height
