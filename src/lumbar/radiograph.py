"""A film: pixels, pixel spacing with its provenance, which side is anterior, and the posture. No patient identity."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import Posture, Side
from lumbar.geometry import Affine2D


@dataclass(frozen=True, slots=True)
class PixelSpacing:
    """Distance between neighbouring pixel centres, in mm, and how it came to be known.

    source: where the figure stands, e.g. "ImagerPixelSpacing / EstimatedRadiographicMagnificationFactor (1.2)" or "--spacing".
    plane: "patient" (lengths are the patient's), "detector" (lengths are magnified, about 1.2x) or "unknown".
    """

    row_mm: float
    column_mm: float
    source: str
    plane: str

    def __post_init__(self) -> None:
        for name, value in (("row_mm", self.row_mm), ("column_mm", self.column_mm)):
            if not (np.isfinite(value) and 0 < value < 100):
                raise ValueError(f"{name} must be a length between 0 and 100 mm; got {value}")
        if self.plane not in (planes := ("patient", "detector", "unknown")):
            raise ValueError(f"plane must be one of {', '.join(planes)}; got {self.plane!r}")

    @property
    def rule(self) -> str:
        """The source without the magnification that it was divided by, which is each film's own.

        >>> PixelSpacing(0.2, 0.2, "ImagerPixelSpacing / EstimatedRadiographicMagnificationFactor (1.2)", "patient").rule
        'ImagerPixelSpacing / EstimatedRadiographicMagnificationFactor'
        """
        return re.sub(r" [(][0-9.]+[)]$", "", self.source)


@dataclass(frozen=True, slots=True, eq=False)
class Radiograph:
    """A lateral film as it is shown: pixels (H, W) float32 in [0, 1], bone bright, read-only.

    `spacing` is None where it is unknown: then nothing in mm can be measured.
    `aspect` is the height of a pixel over its width: one unless the spacing says otherwise.
    `anterior` and `posture` are None until somebody knows them.
    """

    pixels: NDArray[np.float32]
    spacing: PixelSpacing | None = None
    anterior: Side | None = None
    posture: Posture | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.float32 or self.pixels.size == 0:
            raise ValueError(
                f"pixels must be a non-empty (H, W) float32 array; got {self.pixels.shape} {self.pixels.dtype}"
            )
        low, high = float(self.pixels.min()), float(self.pixels.max())
        if not (0.0 <= low and high <= 1.0):  # false for NaN, too
            raise ValueError(f"pixels must lie in [0, 1]; got {low} to {high}")
        if self.pixels.flags.writeable:
            own = self.pixels.copy()
            own.setflags(write=False)
            object.__setattr__(self, "pixels", own)

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def aspect(self) -> float:
        """Row distance over column distance."""
        return 1.0 if self.spacing is None else self.spacing.row_mm / self.spacing.column_mm

    def facing(self, anterior: Side) -> Radiograph:
        """The same film, known to have its anterior on this side."""
        return replace(self, anterior=anterior)


class UnreadableFilm(ValueError):
    """A file that cannot be read as a film.

    problem: what is wrong with it; remedy: what its owner can do. Neither names the file nor repeats what a patient's
    file says, so both may be logged. `str()` is one line, "problem; remedy".
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)  # both as arguments, so that the exception survives pickling
        self.problem = " ".join(problem.split())
        self.remedy = " ".join(remedy.split())

    def __str__(self) -> str:
        """The problem and its remedy."""
        return f"{self.problem}; {self.remedy}"


def film_to_anatomical(anterior: Side, mm_per_column: float, mm_per_row: float) -> Affine2D:
    """The map from film pixels (y down) into the anatomical frame (anterior +x, up +y).

    Lengths come out in mm; with unknown spacing pass 1 and the pixel aspect, and only angles and ratios mean anything.

    >>> film_to_anatomical(Side.LEFT, 0.2, 0.2).apply([10, 5]).tolist()
    [-2.0, -1.0]
    """
    towards_anterior = -1.0 if anterior is Side.LEFT else 1.0
    return Affine2D.scaling(towards_anterior * mm_per_column, -mm_per_row, "film", "anatomical")
