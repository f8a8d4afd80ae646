"""Where the arithmetic of a film runs: numpy, or torch on a device. One text of formulas serves both.

An engine offers an array module `xp` (the names that numpy and torch share) and the few operations that they spell differently.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Array = Any
"""A numpy array or a torch tensor."""


class Engine(Protocol):
    """What `path_lengths` and the exposure need of an array library."""

    xp: Any

    def array(self, values: NDArray[Any]) -> Array:
        """`values` on the engine's device: float32 for floats, int64 for whole numbers."""
        ...

    def exact(self, values: NDArray[Any]) -> Array:
        """`values` on the engine's device, as they are: float64 stays so."""
        ...

    def single(self, values: Array) -> Array:
        """As float32."""
        ...

    def taken(self, values: Array, index: Array) -> Array:
        """`values[:, index]`."""
        ...

    def numpy(self, values: Array) -> NDArray[Any]:
        """Back as a numpy array."""
        ...

    def owners(self, counts: Array) -> Array:
        """0 repeated counts[0] times, 1 repeated counts[1] times, and so on: int64."""
        ...

    def counted(self, first: Array, counts: Array, owners: Array) -> Array:
        """For each first number and count, one after the other, so many numbers from the first upwards: int64. owners: of the counts."""
        ...

    def whole(self, values: Array) -> Array:
        """As int64, cut towards zero."""
        ...

    def parts(self, count: int) -> Iterable[slice]:
        """`count` things, as many at a time as suit the device."""
        ...

    def nothing(self, size: int) -> Array:
        """(size,) zeros, float64: whatever order they are added in, sums of float32 round to the same float32."""
        ...

    def add(self, total: Array, index: Array, values: Array) -> None:
        """Add each of the values (float32) to `total` at its index."""
        ...

    def blurred(self, image: Array, sigma_px: float) -> Array:
        """A Gaussian blur of (H, W); the border is mirrored."""
        ...

    def resized(self, image: Array, height: int, width: int) -> Array:
        """(H, W) at another size: means of blocks where it shrinks, by whole factors alone; linear where it grows."""
        ...


class NumpyEngine:
    """numpy, with OpenCV's filters."""

    xp: Any = np

    def array(self, values: NDArray[Any]) -> Array:
        return np.ascontiguousarray(values, np.float32 if values.dtype.kind == "f" else np.int64)

    def exact(self, values: NDArray[Any]) -> Array:
        return np.ascontiguousarray(values)

    def single(self, values: Array) -> Array:
        return values.astype(np.float32)

    def taken(self, values: Array, index: Array) -> Array:
        return np.take(values, index, axis=1)  # several times as fast as an index

    def numpy(self, values: Array) -> NDArray[Any]:
        return np.asarray(values)

    def owners(self, counts: Array) -> Array:
        return np.repeat(np.arange(len(counts)), counts)

    def counted(self, first: Array, counts: Array, owners: Array) -> Array:
        return np.arange(len(owners)) + (first + counts - np.cumsum(counts))[owners]

    def whole(self, values: Array) -> Array:
        return values.astype(np.int64)

    def parts(self, count: int) -> Iterable[slice]:
        return in_parts(count)

    def nothing(self, size: int) -> Array:
        return np.zeros(size)

    def add(self, total: Array, index: Array, values: Array) -> None:
        np.add.at(total, index, values.astype(np.float64))

    def blurred(self, image: Array, sigma_px: float) -> Array:
        return cv2.GaussianBlur(image, kernel_size(sigma_px), sigma_px, borderType=cv2.BORDER_REFLECT_101)

    def resized(self, image: Array, height: int, width: int) -> Array:
        shrinks = height < image.shape[0]
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def in_parts(count: int, most: int = 1024) -> list[slice]:
    """`count` triangles in parts whose arrays stay in a core's cache.

    >>> in_parts(1500)
    [slice(0, 1024, None), slice(1024, 2048, None)]
    """
    return [slice(start, start + most) for start in range(0, count, most)]


def kernel_size(sigma_px: float) -> tuple[int, int]:
    """The window of a Gaussian blur, four deviations to each side.

    >>> kernel_size(1.5)
    (13, 13)
    """
    side = 2 * round(4 * sigma_px) + 1
    return side, side


NUMPY = NumpyEngine()
