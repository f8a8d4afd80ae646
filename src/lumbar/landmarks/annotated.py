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
    """A film whose facing is known, and its true landmarks (22, 2) in film pixels; NaN where nobody marked one.

    seen_px (22, 2): where a network sees them, for another to learn from how far that is off; NaN where it sees none, None where none has looked.
    """

    radiograph: Radiograph
    landmarks_px: FloatArray
    seen_px: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.radiograph.anterior is None:
            raise ValueError("an annotated film must say on which side its anterior is; use radiograph.facing(side)")
        for name, given in (("landmarks_px", self.landmarks_px), ("seen_px", self.seen_px)):
            if given is None:
                continue
            points = read_only(given)
            if points.shape != (COUNT, 2):
                raise ValueError(f"{name} must have shape ({COUNT}, 2); got {points.shape}")
            object.__setattr__(self, name, points)

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
        seen = None if self.seen_px is None else flip.apply(self.seen_px)
        return AnnotatedFilm(turned, flip.apply(self.landmarks_px), seen)

    def facing_left(self) -> AnnotatedFilm:
        """The film, mirrored if it faces right."""
        return self if self.anterior is Side.LEFT else self.mirrored()
