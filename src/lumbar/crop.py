"""Cutting a window out of a film: letterboxed, area-averaged, standardised. The same for training and for reading."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lumbar.geometry import Affine2D, FloatArray


def cut(
    pixels: NDArray[np.float32], film_to_crop: Affine2D, height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """`pixels` (H, W) seen through `film_to_crop`: (height, width) float32, and which of its pixels lie on the film.

    Where the crop is coarser than the film, whole blocks are averaged first: no aliasing, and each film pixel counts.
    """
    import cv2

    scale = _largest_eigenvalue(film_to_crop.linear)
    block = max(1, int(1 / scale + 0.35))
    if min(pixels.shape) < 2 * block:
        block = 1
    to_film = film_to_crop.inverse
    seen = to_film.apply([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]])
    # The part of the film that is seen, in whole blocks, a few of them to spare.
    most = np.array(pixels.shape[::-1]) // block
    first = np.clip(np.floor(seen.min(axis=0) / block).astype(int) - 3, 0, most - 1)
    last = np.clip(np.ceil(seen.max(axis=0) / block).astype(int) + 3, first + 1, most)
    (left, top), (right, bottom) = first * block, last * block
    part = pixels[top:bottom, left:right]
    if block > 1:
        columns, rows = last - first
        part = cv2.resize(part, (int(columns), int(rows)), interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)
    # Block (i, j) of the part is centred on film pixel (left + block * j + (block - 1) / 2, ...).
    matrix = np.empty((2, 3))
    matrix[:, :2] = film_to_crop.linear * block
    matrix[:, 2] = film_to_crop.linear @ (np.array([left, top]) + (block - 1) / 2) + film_to_crop.offset
    size = (width, height)
    crop = cv2.warpAffine(part, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    (film_width, film_height), (x, y) = most * block, seen.T
    if (_between(x, film_width) & _between(y, film_height)).all():
        inside = np.ones((height, width), dtype=bool)
    else:
        across = to_film.linear[:, 0, None, None] * np.arange(width)
        down = (to_film.linear[:, 1, None] * np.arange(height) + to_film.offset[:, None])[..., None]
        x, y = across + down
        inside = _between(x, film_width) & _between(y, film_height)
    return crop.astype(np.float32, copy=False), inside


def _largest_eigenvalue(matrix: FloatArray) -> float:
    """The largest absolute eigenvalue of a 2 x 2 matrix: numpy's way takes ten times as long."""
    (a, b), (c, d) = matrix.tolist()
    half, determinant = (a + d) / 2, a * d - b * c
    apart = half * half - determinant
    return math.sqrt(determinant) if apart < 0 else abs(half) + math.sqrt(apart)


def _between(places: FloatArray, size: int) -> NDArray[np.bool_]:
    """Which places along an axis of the film lie on it."""
    return np.asarray((places >= -0.5) & (places <= size - 0.5))


def standardised(crop: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The crop with mean 0 and deviation 1 over the film; 0 outside it. This is what the networks see."""
    whole = bool(inside.all())
    seen: NDArray[np.float32] = crop if whole else crop[inside]
    if seen.size == 0:
        return np.zeros_like(crop)
    out: NDArray[np.float32] = ((crop - seen.mean()) / (seen.std() + 1e-3)).astype(np.float32, copy=False)
    if not whole:
        out[~inside] = 0.0
    return out


def network_input(crops: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Standardised crops as a batch (B, 3, H, W): grey films in the three channels that the paper's networks take."""
    return np.repeat(np.stack(crops)[:, None], 3, axis=1)
