"""Probabilities of normal errors."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from lumbar.geometry import FloatArray

_NODES = 64
_REACH = 8.0


def normal_tail(z: float) -> float:
    """P(a standard normal > z).

    >>> normal_tail(0.0), round(normal_tail(1.6449), 3)
    (0.5, 0.05)
    """
    return 0.5 * math.erfc(z / math.sqrt(2))


def probability_within(mean: FloatArray, covariance: FloatArray, limits: FloatArray) -> float:
    """P(|x_i| <= limits_i for all i) of a normal x with this mean (n,) and covariance (n, n), n up to 3.

    By Gauss-Legendre quadrature over all but the last coordinate, whose part is closed. A coordinate without
    variance counts as known.

    >>> round(probability_within(np.zeros(1), np.eye(1), np.array([1.96])), 3)
    0.95
    >>> round(probability_within(np.zeros(2), np.array([[1, 1], [1, 1.0]]), np.array([1.96, 3.0])), 3)
    0.95
    """
    mean, covariance, limits = (np.asarray(a, float) for a in (mean, covariance, limits))
    deviation = math.sqrt(max(float(covariance[0, 0]), 0.0))
    low, high = -float(limits[0]), float(limits[0])
    if len(mean) == 1:
        if deviation == 0:
            return float(low <= mean[0] <= high)
        return max(0.0, 1 - normal_tail((high - mean[0]) / deviation) - normal_tail((mean[0] - low) / deviation))
    if deviation == 0:
        inside = float(low <= mean[0] <= high)
        return inside and inside * probability_within(mean[1:], covariance[1:, 1:], limits[1:])
    low, high = max(low, mean[0] - _REACH * deviation), min(high, mean[0] + _REACH * deviation)
    if low >= high:
        return 0.0
    nodes, weights = _legendre()
    x = (low + high) / 2 + (high - low) / 2 * nodes
    density = np.exp(-0.5 * ((x - mean[0]) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
    slope = covariance[1:, 0] / covariance[0, 0]
    rest = covariance[1:, 1:] - np.outer(slope, covariance[0, 1:])
    np.fill_diagonal(rest, np.maximum(np.diag(rest), 1e-12 * np.diag(covariance)[1:]))
    inner = [probability_within(mean[1:] + slope * (at - mean[0]), rest, limits[1:]) for at in x]
    return float(min(1.0, (high - low) / 2 * (weights * density * np.array(inner)).sum()))


@cache
def _legendre() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights
