"""A film with its truth: simulated, or annotated by a reader."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lumbar.anatomy import Side
from lumbar.geometry import Affine2D, FloatArray, read_only
from lumbar.landmarks.spine import COUNT
from lumbar.radiograph import Radiograph


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedFilm:
    """A film whose facing is known, and its true landmarks (22, 2) in film pixels; NaN where nobody marked one."""

    radiograph: Radiograph
    landmarks_px: FloatArray

    def __post_init__(self) -> None:
        if self.radiograph.anterior is None:
            raise ValueError("an annotated film must say on which side its anterior is; use radiograph.facing(side)")
        points = read_only(self.landmarks_px)
        if points.shape != (COUNT, 2):
            raise ValueError(f"landmarks_px must have shape ({COUNT}, 2); got {points.shape}")
        object.__setattr__(self, "landmarks_px", points)

    @property
    def anterior(self) -> Side:
        """The side of the film that is anterior."""
        assert self.radiograph.anterior is not None
        return self.radiograph.anterior

    def mirrored(self) -> AnnotatedFilm:
        """The same film facing the other way: pixels and points; a corner keeps its name."""
        flip = Affine2D.mirror(self.radiograph.width, "film", "film")
        pixels = np.ascontiguousarray(self.radiograph.pixels[:, ::-1])
        turned = replace(self.radiograph, pixels=pixels, anterior=self.anterior.opposite)
        return AnnotatedFilm(turned, flip.apply(self.landmarks_px))

    def facing_left(self) -> AnnotatedFilm:
        """The film, mirrored if it faces right."""
        return self if self.anterior is Side.LEFT else self.mirrored()
