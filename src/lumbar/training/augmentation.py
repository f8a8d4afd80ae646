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


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """What a film may look like elsewhere: other textures, shades, edges and things in the way, while every bone stays where it is.

    Domain randomisation (Tobin 2017): a network that has seen simulated films look like anything may take a real film for one more of them.
    kernel: a random filter (RandConv, Xu 2021), mixed in by the share `mixed`; None for none. shade: a coarse grid of what is added, in standard
    deviations. tone: a monotone curve through equally spaced greys. sharpened: strength of an unsharp mask, 0 for none. equalised: clip limit of
    CLAHE, 0 for none. coarse: size that the crop is shrunk to and back. patches (N, 6): place, size, grey and roughness of what is in the way.
    ghost: the crop itself, moved so (2, 3; the shift in crops), laid over it by the share `ghost_share`: other bones where none are expected, fainter
    than the film's own; None for none.
    """

    contrast: Contrast
    kernel: FloatArray | None
    mixed: float
    shade: FloatArray
    tone: FloatArray
    sharpened: float
    equalised: float
    coarse: float
    patches: FloatArray
    ghost: FloatArray | None
    ghost_share: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Appearance:
        """Three of five with a random filter, one in three with things in the way."""
        size = int(rng.choice([1, 3, 5, 7]))
        kernel = rng.normal(0, 1, (size, size)) / size if rng.random() < 0.6 else None
        patches = rng.uniform(0, 1, (int(rng.integers(1, 4)) if rng.random() < 0.35 else 0, 6))
        ghost = _another_place(rng) if rng.random() < 0.3 else None
        return cls(
            Contrast.draw(rng),
            kernel,
            float(rng.uniform(0.2, 0.9)),
            rng.normal(0, rng.uniform(0, 0.5), (int(rng.integers(2, 6)), int(rng.integers(2, 4)))),
            np.cumsum(np.concatenate([[0.0], rng.gamma(1.5, 1.0, 5)])),
            float(rng.uniform(0.3, 2.5)) if rng.random() < 0.3 else 0.0,
            float(rng.uniform(1.0, 5.0)) if rng.random() < 0.25 else 0.0,
            float(rng.uniform(0.4, 0.9)) if rng.random() < 0.2 else 1.0,
            patches,
            ghost,
            float(rng.uniform(0.1, 0.35)),
        )

    def apply(self, crop: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """A crop (H, W) in [0, 1] that looks so, in [0, 1] but for noise."""
        height, width = crop.shape
        image: NDArray[Any] = np.clip(crop, 0, 1).astype(np.float32)
        if self.ghost is not None:
            moved = self.ghost.copy()
            moved[:, 2] *= (width, height)
            over = cv2.warpAffine(image, moved, (width, height), borderMode=cv2.BORDER_REFLECT)
            image = (1 - self.ghost_share) * image + self.ghost_share * over
        if self.equalised:
            clahe = cv2.createCLAHE(self.equalised, (8, 4))
            image = clahe.apply((image * 255).astype(np.uint8)).astype(np.float32) / 255
        if self.kernel is not None:
            other = cv2.filter2D(image, -1, self.kernel.astype(np.float32), borderType=cv2.BORDER_REFLECT)
            other = (other - other.mean()) / (other.std() + 1e-6) * image.std() + image.mean()
            image = (1 - self.mixed) * image + self.mixed * other
        shade = cv2.resize(self.shade.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        image = image + shade * image.std()
        image = (image - image.min()) / (np.ptp(image) + 1e-6)
        image = np.interp(image, np.linspace(0, 1, len(self.tone)), self.tone / self.tone[-1]).astype(np.float32)
        if self.sharpened:
            image = image + self.sharpened * (image - cv2.GaussianBlur(image, (0, 0), 2.0))
        if self.coarse < 1:
            small = cv2.resize(image, None, fx=self.coarse, fy=self.coarse, interpolation=cv2.INTER_AREA)
            image = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        for x, y, wide, tall, grey, rough in self.patches:
            left, top = int(x * width), int(y * height)
            part = image[top : top + int(height * (0.03 + 0.2 * tall)), left : left + int(width * (0.05 + 0.3 * wide))]
            part[:] = grey + 0.2 * rough * rng.standard_normal(part.shape, dtype=np.float32)
        return self.contrast.apply(image, rng)


def _another_place(rng: np.random.Generator) -> FloatArray:
    """A turn by any angle, other sizes, mirrored or not, about the middle, then a shift: (2, 3), the last column in crops."""
    angle, size = rng.uniform(-np.pi, np.pi), np.exp(rng.normal(0, 0.35))
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn[:, 0] *= rng.choice([-1, 1])
    middle = np.array([0.5, 0.5])
    return np.column_stack([turn, middle - turn @ middle + rng.uniform(-0.4, 0.4, 2)])


def draw_look(rng: np.random.Generator, randomised: float) -> Contrast | Appearance:
    """How a sample looks: with probability `randomised` like no film, else like one of another tone."""
    return Appearance.draw(rng) if randomised and rng.random() < randomised else Contrast.draw(rng)


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
    contrast: Contrast | Appearance | None,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """The crop as a network sees it, (height, width) float32."""
    crop, inside = cut(pixels, film_to_crop, height, width)
    return standardised(crop if contrast is None else contrast.apply(crop, rng), inside)
