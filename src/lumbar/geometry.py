"""Angles, projections, and affine maps between named coordinate frames.

All 2-D arrays of points have shape (..., 2) with x first. Image frames have pixel centres at integers, x to the right
and y down; the anatomical frame has mm, anterior +x and up +y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]


def read_only(values: ArrayLike) -> FloatArray:
    """A float64 copy of `values` that cannot be written to."""
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def signed_angle_deg(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """The angle in degrees that turns `first` into `second`, in (-180, 180], from +x towards +y positive.

    >>> float(signed_angle_deg([1, 0], [0, 2]))
    90.0
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape == b.shape == (2,):  # one pair, as in a formula: numpy's loops would take five times as long
        (ax, ay), (bx, by) = a.tolist(), b.tolist()
        return np.asarray(math.degrees(math.atan2(ax * by - ay * bx, ax * bx + ay * by)))
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    dot = (a * b).sum(axis=-1)
    return np.asarray(np.degrees(np.arctan2(cross, dot)))


def unit(vector: ArrayLike) -> FloatArray:
    """`vector` scaled to length one.

    >>> unit([3, 4]).tolist()
    [0.6, 0.8]
    """
    v = np.asarray(vector, dtype=np.float64)
    if v.shape == (2,):
        return np.asarray(v / math.hypot(*v.tolist()))
    return np.asarray(v / np.linalg.norm(v, axis=-1, keepdims=True))


@dataclass(frozen=True)
class Affine2D:
    """A map of points from the frame `source` into the frame `target`: p -> linear @ p + offset.

    Raises ValueError when two maps are composed whose frames do not meet.
    """

    linear: FloatArray
    offset: FloatArray
    source: str
    target: str

    def __post_init__(self) -> None:
        linear, offset = read_only(self.linear), read_only(self.offset)
        if linear.shape != (2, 2) or offset.shape != (2,):
            raise ValueError(f"Affine2D needs linear (2, 2) and offset (2,); got {linear.shape} and {offset.shape}")
        object.__setattr__(self, "linear", linear)
        object.__setattr__(self, "offset", offset)

    @classmethod
    def identity(cls, source: str, target: str) -> Affine2D:
        """The map that renames a frame and moves nothing."""
        return cls(np.eye(2), np.zeros(2), source, target)

    @classmethod
    def scaling(cls, x: float, y: float, source: str, target: str) -> Affine2D:
        """The map that multiplies x and y."""
        return cls(np.diag([x, y]), np.zeros(2), source, target)

    @classmethod
    def mirror(cls, width: int, source: str, target: str) -> Affine2D:
        """Left and right of an image of `width` columns exchanged: column 0 becomes column width-1."""
        return cls(np.diag([-1.0, 1.0]), np.array([width - 1.0, 0.0]), source, target)

    def apply(self, points: ArrayLike) -> FloatArray:
        """Points (..., 2) of `source`, in `target`."""
        return np.asarray(np.asarray(points, dtype=np.float64) @ self.linear.T + self.offset)

    def apply_covariance(self, covariance: ArrayLike) -> FloatArray:
        """Covariances (..., 2, 2) of points in `source`, in `target`: symmetric to the last bit, so that who keeps three numbers keeps all."""
        mapped = self.linear @ np.asarray(covariance, dtype=np.float64) @ self.linear.T
        return np.asarray((mapped + mapped.swapaxes(-1, -2)) / 2)

    def then(self, following: Affine2D) -> Affine2D:
        """The map that is this one and after it `following`."""
        if self.target != following.source:
            raise ValueError(
                f"cannot follow {self.source}->{self.target} by {following.source}->{following.target}: "
                f"the second must start in {self.target!r}"
            )
        return Affine2D(
            following.linear @ self.linear,
            following.linear @ self.offset + following.offset,
            self.source,
            following.target,
        )

    @property
    def inverse(self) -> Affine2D:
        """The way back."""
        back = np.linalg.inv(self.linear)
        return Affine2D(back, -back @ self.offset, self.target, self.source)


def letterbox(window: tuple[float, float, float, float], height: int, width: int, source: str, target: str) -> Affine2D:
    """The map that fits `window` into a frame of `height` x `width` pixels, centred and with one scale for both axes.

    `window` is (x0, y0, x1, y1) in pixels of `source`, edges included: a whole image is (-0.5, -0.5, W-0.5, H-0.5).

    >>> fit = letterbox((-0.5, -0.5, 99.5, 199.5), 100, 100, "film", "crop")
    >>> fit.apply([-0.5, -0.5]).tolist(), fit.apply([99.5, 199.5]).tolist()
    ([24.5, -0.5], [74.5, 99.5])
    """
    x0, y0, x1, y1 = window
    if not (x1 > x0 and y1 > y0):
        raise ValueError(f"window must have x1 > x0 and y1 > y0; got {window}")
    scale = min(width / (x1 - x0), height / (y1 - y0))
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    return Affine2D(np.eye(2) * scale, middle - scale * centre, source, target)
