"""Cutting a window out of a film: letterboxed, area-averaged, standardised. The same for training and for reading."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lumbar.geometry import Affine2D


def cut(
    pixels: NDArray[np.float32], film_to_crop: Affine2D, height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """`pixels` (H, W) seen through `film_to_crop`: (height, width) float32, and which of its pixels lie on the film.

    Where the crop is coarser than the film, whole blocks are averaged first: no aliasing, and each film pixel counts.
    """
    import cv2

    scale = np.abs(np.linalg.eigvals(film_to_crop.linear)).max()
    block = max(1, int(1 / scale + 0.35))
    if block > 1:
        rows, columns = pixels.shape[0] // block, pixels.shape[1] // block
        if rows < 2 or columns < 2:
            block = 1
        else:
            whole = pixels[: rows * block, : columns * block]
            pixels = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)
    # Block (i, j) is centred on film pixel (block * j + (block - 1) / 2).
    matrix = np.empty((2, 3))
    matrix[:, :2] = film_to_crop.linear * block
    matrix[:, 2] = film_to_crop.linear @ np.full(2, (block - 1) / 2) + film_to_crop.offset
    size = (width, height)
    crop = cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    corner = film_to_crop.inverse.apply(
        np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2)
    ).reshape(height, width, 2)
    film_height, film_width = pixels.shape[0] * block, pixels.shape[1] * block
    inside = (
        (corner[..., 0] >= -0.5)
        & (corner[..., 0] <= film_width - 0.5)
        & (corner[..., 1] >= -0.5)
        & (corner[..., 1] <= film_height - 0.5)
    )
    return crop.astype(np.float32, copy=False), inside


def standardised(crop: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The crop with mean 0 and deviation 1 over the film; 0 outside it. This is what the networks see."""
    seen: NDArray[np.float32] = crop[inside]
    if seen.size == 0:
        return np.zeros_like(crop)
    out: NDArray[np.float32] = ((crop - seen.mean()) / (seen.std() + 1e-3)).astype(np.float32, copy=False)
    out[~inside] = 0.0
    return out


def network_input(crops: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Standardised crops as a batch (B, 3, H, W): grey films in the three channels that the paper's networks take."""
    return np.repeat(np.stack(crops)[:, None], 3, axis=1)
