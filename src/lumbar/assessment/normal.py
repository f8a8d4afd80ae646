"""Probabilities of normal errors."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from lumbar.geometry import FloatArray

_NODES = 48
_REACH = 6.0


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
    within = float(_within(mean[None], covariance, limits)[0])
    if (np.diagonal(covariance) > 0).all():  # beyond its reach the quadrature says 0, which no normal error allows
        within = min(max(within, normal_tail(_REACH)), 1 - normal_tail(_REACH))
    return within


def _within(means: FloatArray, covariance: FloatArray, limits: FloatArray) -> FloatArray:
    """The same for several means (m, n) at once: (m,)."""
    first, limit = means[:, 0], float(limits[0])
    deviation = math.sqrt(max(float(covariance[0, 0]), 0.0))
    if means.shape[1] == 1:
        if deviation == 0:
            return np.asarray(np.abs(first) <= limit, float)
        outside = _tails((limit - first) / deviation) + _tails((first + limit) / deviation)
        return np.asarray(np.maximum(0.0, 1 - outside))
    if deviation == 0:
        inside = np.asarray(np.abs(first) <= limit, float)
        return np.asarray(inside * _within(means[:, 1:], covariance[1:, 1:], limits[1:]))
    low = np.maximum(-limit, first - _REACH * deviation)
    half = np.maximum(np.minimum(limit, first + _REACH * deviation) - low, 0.0) / 2
    nodes, weights = _legendre()
    off = (low + half - first)[:, None] + half[:, None] * nodes
    density = np.exp(-0.5 * (off / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
    slope = covariance[1:, 0] / covariance[0, 0]
    rest = covariance[1:, 1:] - np.outer(slope, covariance[0, 1:])
    np.fill_diagonal(rest, np.maximum(np.diag(rest), 1e-12 * np.diag(covariance)[1:]))
    shifted = means[:, None, 1:] + off[..., None] * slope
    inner = _within(shifted.reshape(-1, len(slope)), rest, limits[1:]).reshape(off.shape)
    return np.asarray(np.minimum(1.0, half * (weights * density * inner).sum(axis=1)))


def _tails(z: FloatArray) -> FloatArray:
    """`normal_tail` of each."""
    return np.array([math.erfc(at) for at in (z / math.sqrt(2)).tolist()]) / 2


@cache
def _legendre() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights
