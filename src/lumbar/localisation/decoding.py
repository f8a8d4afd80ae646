"""The localiser's raw output -> the one box on the film."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SAME_OBJECT = 0.7


def best_box(output: NDArray[Any]) -> tuple[NDArray[np.float64], float, int]:
    """The most confident box (4,), its score and its class, from one image's output (4 + classes, N).

    There is one lumbosacral area on a film, so nothing needs suppressing: the other boxes that say the same (overlap above
    0.7 with the best) are more looks at it, and their mean, weighted by score, is steadier than the best alone.
    """
    edges, scores = output[:4].T.astype(np.float64), output[4:].max(axis=0).astype(np.float64)
    best = int(scores.argmax())
    low, high = np.maximum(edges[:, :2], edges[best, :2]), np.minimum(edges[:, 2:], edges[best, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    area = np.maximum(edges[:, 2:] - edges[:, :2], 0).prod(axis=1)
    overlap = shared / np.maximum(area + area[best] - shared, 1e-9)
    weight = scores * (overlap > _SAME_OBJECT)
    weight[best] = max(weight[best], 1e-12)
    return weight @ edges / weight.sum(), float(scores[best]), int(output[4:, best].argmax())
