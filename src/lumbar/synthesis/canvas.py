"""A sheet of line integrals: shapes given in mm add their attenuation, each within its own small window."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lumbar.geometry import Affine2D, FloatArray

_SHIFT = 4  # bits of sub-pixel precision in OpenCV's drawing


class Canvas:
    """Attenuation (H, W) float32 of one film, drawn in mm of the patient through `to_film`."""

    def __init__(self, height: int, width: int, to_film: Affine2D) -> None:
        self.attenuation: NDArray[np.float32] = np.zeros((height, width), np.float32)
        self.to_film = to_film
        self.pixels_per_mm = float(np.sqrt(abs(np.linalg.det(to_film.linear))))

    def area(self, outline_mm: ArrayLike, attenuation: float, blur_mm: float = 0.0) -> None:
        """Add a filled outline (N, 2)."""
        self._stamp(self.to_film.apply(outline_mm), attenuation, None, blur_mm)

    def line(self, points_mm: ArrayLike, attenuation: float, width_mm: float, blur_mm: float = 0.0) -> None:
        """Add a line through points (N, 2)."""
        self._stamp(self.to_film.apply(points_mm), attenuation, width_mm, blur_mm)

    def _stamp(self, points: FloatArray, attenuation: float, width_mm: float | None, blur_mm: float) -> None:
        height, width = self.attenuation.shape
        sigma = blur_mm * self.pixels_per_mm
        thick = 0 if width_mm is None else max(1, round(width_mm * self.pixels_per_mm))
        margin = int(3 * sigma + thick + 2)
        low = np.maximum(np.floor(points.min(axis=0)).astype(int) - margin, 0)
        high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + margin + 1, [width, height])
        if (high <= low).any():
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        drawn = np.round((points - low) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)
        if width_mm is None:
            cv2.fillPoly(mask, [drawn], 255, cv2.LINE_AA, _SHIFT)
        else:
            # A line thinner than a pixel keeps its integral: fainter, not wider.
            attenuation *= min(1.0, width_mm * self.pixels_per_mm)
            cv2.polylines(mask, [drawn], False, 255, thick, cv2.LINE_AA, _SHIFT)
        layer = mask.astype(np.float32)
        if sigma > 0.3:
            layer = cv2.GaussianBlur(layer, (0, 0), sigma).astype(np.float32, copy=False)
        self.attenuation[low[1] : high[1], low[0] : high[0]] += layer * np.float32(attenuation / 255)


def curve(start: ArrayLike, end: ArrayLike, bulge: float, count: int = 9) -> FloatArray:
    """Points (count, 2) of a shallow arc; `bulge` is how far its middle leaves the chord, in mm, positive to the left of its run."""
    p, q = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    t = np.linspace(0, 1, count)[:, None]
    chord = q - p
    normal = np.array([-chord[1], chord[0]]) / (np.linalg.norm(chord) + 1e-9)
    return np.asarray(p + t * chord + normal * bulge * 4 * t * (1 - t))


def ellipse(centre: ArrayLike, radii: tuple[float, float], angle_deg: float, count: int = 32) -> FloatArray:
    """Points (count, 2) around an ellipse, its first radius turned by `angle_deg` from +x towards +y."""
    t = np.linspace(0, 2 * np.pi, count)
    a = np.radians(angle_deg)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return np.asarray(np.stack([radii[0] * np.cos(t), radii[1] * np.sin(t)], axis=1) @ turn.T + np.asarray(centre))
