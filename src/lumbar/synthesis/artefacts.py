"""What comes upon a film after the console: collimation, letters, borders, 8-bit JPEG, and photographs of a light box."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lumbar.geometry import FloatArray
from lumbar.synthesis.exposure import FloatImage


def marked(image: FloatImage, posture: str, rng: np.random.Generator) -> FloatImage:
    """Collimation or a border, letters bare or on a white plate, uneven light, the noise of a scan, JPEG."""
    image = np.array(image, np.float32)
    height, width = image.shape
    if rng.random() < 0.4:
        shade = float(rng.choice([0.0, 0.0, 1.0, rng.random()]))
        for side in rng.permutation(4)[: int(rng.integers(1, 4))]:
            cut = int(rng.uniform(0, 0.05) * height)
            if cut:
                [image[:cut], image[-cut:], image[:, :cut], image[:, -cut:]][side][:] = shade
    for _ in range(int(rng.integers(0, 3))):
        _letter(image, posture, rng)
    if rng.random() < 0.2:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        centre = rng.uniform(-0.2, 1.2, 2) * (height, width)
        spread = rng.uniform(0.15, 0.8) * height
        glow = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * spread**2))
        image = image * rng.uniform(0.6, 1.0) + rng.uniform(-0.35, 0.35) * glow
    if rng.random() < 0.5:
        image = image + rng.uniform(0, 0.015) * rng.standard_normal(image.shape, dtype=np.float32)
    image = np.clip(image, 0, 1)
    if rng.random() < 0.3:
        quality = int(rng.integers(35, 95))
        _, data = cv2.imencode(".jpg", np.rint(image * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.float32) / np.float32(255)
    return np.asarray(image, np.float32)


def _letter(image: FloatImage, posture: str, rng: np.random.Generator) -> None:
    height, width = image.shape
    text = str(rng.choice(["R", "L", "RT", "LT", "RT.", "LT.", "STANDING", posture.upper(), "LAT", "12"]))
    size, thick = rng.uniform(0.3, 1.3) * height / 700, 2 if rng.random() < 0.7 else 1
    (wide, tall), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, thick)
    x, y = int(rng.uniform(0, 0.9) * width), int(rng.uniform(0.03, 0.99) * height)
    plate = np.zeros((tall + 2 * below + 4, wide + 8), np.uint8)
    cv2.putText(plate, text, (4, tall + below), cv2.FONT_HERSHEY_SIMPLEX, size, 255, thick, cv2.LINE_AA)
    if rng.random() < 0.2:
        plate = plate[:, ::-1]
    part = image[y : y + plate.shape[0], x : x + plate.shape[1]]
    mask = plate[: part.shape[0], : part.shape[1]].astype(np.float32) / 255
    shade = float(rng.choice([1.0, 1.0, 0.8]))
    part[:] = shade * (1 - mask) if rng.random() < 0.35 else np.maximum(part, mask * shade)


def photographed(image: FloatImage, points_px: FloatArray, rng: np.random.Generator) -> tuple[FloatImage, FloatArray]:
    """The film on a light box as a telephone sees it, in grey, and where its points (N, 2) lie there: perspective, glare, vignette."""
    height, width = image.shape
    square = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float32)
    shaken = square * (1 - rng.uniform(0, 0.06)) + rng.uniform(-0.025, 0.04, (4, 2)) * (width, height)
    warp = cv2.getPerspectiveTransform(square, shaken.astype(np.float32))
    back = float(rng.choice([0.0, 0.9, rng.random()]))
    seen = cv2.warpPerspective(image, warp, (width, height), flags=cv2.INTER_LINEAR, borderValue=back)
    moved = np.concatenate([points_px, np.ones((len(points_px), 1))], axis=1) @ warp.T
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    vignette = 1 - rng.uniform(0, 0.35) * (x**2 + y**2)
    centre, spread = rng.uniform(-1, 1, 2), rng.uniform(0.1, 0.6)
    glare = rng.uniform(0, 0.5) * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / spread**2)
    floor = rng.uniform(0.02, 0.2)
    seen = (floor + (1 - floor) * seen) * vignette + glare
    seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.4, 1.2))
    return np.asarray(np.clip(seen, 0, 1), np.float32), np.asarray(moved[:, :2] / moved[:, 2:], np.float64)


def tinted(image: FloatImage, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A photograph in colour, (H, W, 3) uint8 BGR: blue film base or yellow lamps. Its luma (ITU-R BT.601) is a multiple of `image`."""
    blue, red = rng.choice([1.25, 0.8]) + rng.uniform(-0.15, 0.15), rng.uniform(0.85, 1.1)
    tint = np.array([blue, 1.0, red])
    return np.asarray(np.rint(image[..., None] * (tint / tint.max()) * 255), np.uint8)
