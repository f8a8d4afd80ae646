"""Heatmaps, one for each landmark -> the 22 landmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lumbar.landmarks.spine import COUNT, SpineLandmarks

LEAST_PEAK = 0.05
"""A heatmap that is nowhere higher says that its landmark is absent. Ours: the papers' landmarks are always there."""


def decode_peaks(heatmaps: NDArray[Any], stride: int, shift_cells: float = 0.25) -> SpineLandmarks:
    """The highest cell of each heatmap (22, h, w), `shift_cells` towards its higher neighbour in x and in y, in input pixels.

    The quarter of a cell is Newell's (2016): the true maximum lies on the side of the higher neighbour. At the border, or
    between neighbours of one height, the cell's middle stays. No covariance; confidence is the height, clipped to [0, 1].
    """
    heat = np.asarray(heatmaps, dtype=np.float64)
    h, w = heat.shape[1:]
    rows, columns = np.divmod(heat.reshape(COUNT, -1).argmax(axis=1), w)
    landmark = np.arange(COUNT)
    peak = heat[landmark, rows, columns]
    right, left = heat[landmark, rows, np.minimum(columns + 1, w - 1)], heat[landmark, rows, np.maximum(columns - 1, 0)]
    below, above = (
        heat[landmark, np.minimum(rows + 1, h - 1), columns],
        heat[landmark, np.maximum(rows - 1, 0), columns],
    )
    x = columns + shift_cells * np.sign(right - left) * ((columns > 0) & (columns < w - 1))
    y = rows + shift_cells * np.sign(below - above) * ((rows > 0) & (rows < h - 1))
    # Cell (0, 0) spans 0..1, pixel (0, 0) is centred on 0.
    points = (np.stack([x, y], axis=1) + 0.5) * stride - 0.5
    points[peak < LEAST_PEAK] = np.nan
    return SpineLandmarks(points, np.full((COUNT, 2, 2), np.nan), np.clip(peak, 0.0, 1.0))
