"""Builders: where the landmarks of a drawn spine lie in a crop."""

import numpy as np

from lumbar.synthesis.spine import Spine, draw_spine


def a_column(seed: int = 0, height: int = 256) -> np.ndarray:
    """Landmarks (22, 2) of a drawn spine in the pixels of a crop twice as high as wide."""
    spine: Spine = draw_spine(np.random.default_rng(seed))
    points = -spine.edges()
    low, high = points.min(axis=0), points.max(axis=0)
    scale = height * 0.75 / (high[1] - low[1])
    return (points - (low + high) / 2) * scale + [height / 4, height / 2]
