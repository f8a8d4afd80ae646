"""Flip, scale, shift, roll and contrast: drawn once, then applied to image and points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lumbar.crop import cut, standardised
from lumbar.geometry import Affine2D, FloatArray, letterbox
from lumbar.radiograph import Radiograph


@dataclass(frozen=True, slots=True)
class Contrast:
    """A tone curve, blur and noise for one crop."""

    gamma: float
    blur_px: float
    noise: float
    inverted: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Contrast:
        """Mild; one film in twenty-five is inverted."""
        blur = rng.uniform(0.3, 1.1) if rng.random() < 0.25 else 0.0
        return cls(float(np.exp(rng.normal(0, 0.3))), float(blur), float(rng.uniform(0, 0.04)), rng.random() < 0.04)

    def apply(self, crop: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """A crop (H, W) in [0, 1] with this contrast."""
        image: NDArray[Any] = np.clip(crop, 0, 1) ** self.gamma
        if self.blur_px:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), self.blur_px))
        image = image + self.noise * rng.standard_normal(image.shape, dtype=np.float32)
        return (1 - image if self.inverted else image).astype(np.float32)


def crop_window(
    points_px: FloatArray, height: int, width: int, fill: float, rng: np.random.Generator, roll_deg: float = 5.0
) -> Affine2D:
    """Film -> crop of height x width in which the landmarks (22, 2) take about `fill` of the height, somewhere inside.

    The scale never lets them take more than the whole width; a small roll turns the film about its middle.
    """
    low, high = np.nanmin(points_px, axis=0), np.nanmax(points_px, axis=0)
    size = high - low
    tall = max(size[1] / fill, size[0] / min(1.0, fill * 1.35) * height / width)
    wide = tall * width / height
    free = np.maximum([wide - size[0], tall - size[1]], 0.0)
    corner = low - free * np.clip(rng.normal(0.5, 0.25, 2), 0.0, 1.0)
    fit = letterbox((*corner, corner[0] + wide, corner[1] + tall), height, width, "film", "crop")
    return fit.then(_roll(height, width, rng, roll_deg))


def film_window(radiograph: Radiograph, height: int, width: int, rng: np.random.Generator) -> Affine2D:
    """Film -> view of height x width that holds about the whole film: its edges moved by up to a tenth, and a small roll."""
    size = np.array([radiograph.width, radiograph.height * radiograph.aspect])
    low, high = rng.uniform(-0.1, 0.1, 2) * size, (1 + rng.uniform(-0.1, 0.1, 2)) * size
    square = Affine2D.scaling(1.0, radiograph.aspect, "film", "upright")
    fit = square.then(letterbox((*low, *high), height, width, "upright", "crop"))
    return fit.then(_roll(height, width, rng, 5.0))


def _roll(height: int, width: int, rng: np.random.Generator, roll_deg: float) -> Affine2D:
    angle = np.radians(np.clip(rng.normal(0, roll_deg), -3 * roll_deg, 3 * roll_deg)) if roll_deg else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    return Affine2D(turn, middle - turn @ middle, "crop", "crop")


def seen_through(
    pixels: NDArray[np.float32],
    film_to_crop: Affine2D,
    height: int,
    width: int,
    contrast: Contrast | None,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """The crop as a network sees it, (height, width) float32."""
    crop, inside = cut(pixels, film_to_crop, height, width)
    return standardised(crop if contrast is None else contrast.apply(crop, rng), inside)
