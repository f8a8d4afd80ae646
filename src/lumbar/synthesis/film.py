"""From a spine to a film: framing, soft tissue and gas, exposure with scatter and noise, and how the picture was processed.

`simulate_film(seed, index)` depends on its two arguments alone. Everything is drawn with the anterior on the left; a film
that faces right is mirrored at the end, points and all.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import Posture, Side
from lumbar.geometry import Affine2D, FloatArray
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.radiograph import PixelSpacing, Radiograph, film_to_anatomical
from lumbar.synthesis.canvas import Canvas, ellipse
from lumbar.synthesis.skeleton import draw_arm, draw_skeleton
from lumbar.synthesis.spine import Spine, draw_bend, draw_spine

FloatImage = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Framing:
    """What part of the patient is on the film: size in pixels, mm a pixel, where S1's posterior corner falls, and the patient's roll."""

    height: int
    width: int
    pixel_mm: float
    s1_px: tuple[float, float]
    roll_deg: float

    @classmethod
    def draw(cls, rng: np.random.Generator, spine: Spine, height: int) -> Framing:
        """From a film of half the trunk to one cut tightly around the lumbar spine; L1 to S1 always inside."""
        roll = float(np.clip(rng.normal(0, 4), -12, 12))
        points = _rolled(spine.landmarks(), roll) * (-1, -1)
        low, high = points.min(axis=0), points.max(axis=0)
        size = high - low
        fill = rng.uniform(0.34, 0.72) if rng.random() < 0.85 else rng.uniform(0.72, 0.95)
        pixel_mm = size[1] / (height * fill)
        aspect = rng.uniform(0.42, 1.1)
        width = int(np.clip(height * aspect, size[0] / pixel_mm * 1.08, height * 1.1)) // 16 * 16 + 16
        free = np.array([width, height]) - size / pixel_mm
        at = free * (np.clip(rng.normal(0.55, 0.2), 0.03, 0.97), np.clip(rng.normal(0.42, 0.22), 0.03, 0.97))
        s1 = at - low / pixel_mm
        return cls(height, width, float(pixel_mm), (float(s1[0]), float(s1[1])), roll)

    @property
    def to_film(self) -> Affine2D:
        """Anatomical mm -> film pixels, anterior on the left."""
        flip = film_to_anatomical(Side.LEFT, self.pixel_mm, self.pixel_mm).inverse
        turn = Affine2D(_turn(self.roll_deg), np.zeros(2), "anatomical", "anatomical")
        shift = Affine2D(np.eye(2), np.array(self.s1_px), "film", "film")
        return turn.then(flip).then(shift)


def _turn(angle_deg: float) -> FloatArray:
    a = np.radians(angle_deg)
    return np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])


def _rolled(points: FloatArray, angle_deg: float) -> FloatArray:
    return np.asarray(points @ _turn(angle_deg).T)


@dataclass(frozen=True, slots=True)
class Streams:
    """Random generators of their own for what the patient is made of, what the console does, and this one exposure."""

    skeleton: np.random.Generator
    tissue: np.random.Generator
    gas: np.random.Generator
    console: np.random.Generator
    exposure: np.random.Generator

    @classmethod
    def of(cls, patient: np.random.Generator, exposure: np.random.Generator) -> Streams:
        """Films of one patient at one console take equal `patient` generators; noise and markers are the exposure's."""
        skeleton, tissue, gas, console = patient.spawn(4)
        return cls(skeleton, tissue, gas, console, exposure)


def simulate_film(seed: int, index: int, height: int = 768) -> AnnotatedFilm:
    """Film number `index` of the set `seed`, `height` pixels high, facing left or right, with its truth."""
    rng = np.random.default_rng([seed, index])
    spine = draw_spine(rng)
    if rng.random() < 0.35:
        spine = draw_bend(rng, spine)[Posture(rng.choice(["flexion", "extension"]))]
    film = expose(spine, Framing.draw(rng, spine, height), Streams.of(rng, rng))
    return film.mirrored() if rng.random() < 0.5 else film


def simulate_study(seed: int, index: int, height: int = 1024) -> dict[Posture, AnnotatedFilm]:
    """The same patient in flexion, neutral and extension, facing left, repositioned before each exposure."""
    rng = np.random.default_rng([seed, index, 3])
    bends = draw_bend(rng, draw_spine(rng))
    films = {}
    for posture, spine in bends.items():
        streams = Streams.of(np.random.default_rng([seed, index, 4]), rng)
        films[posture] = expose(spine, Framing.draw(rng, spine, height), streams)
    return films


def expose(spine: Spine, framing: Framing, streams: Streams) -> AnnotatedFilm:
    """One exposure of `spine` with anterior on the left."""
    canvas = Canvas(framing.height, framing.width, framing.to_film)
    body = _soft_tissue(canvas, spine, streams.tissue)
    draw_skeleton(canvas, spine, streams.skeleton)
    corners = spine.corners()
    if streams.skeleton.random() < 0.18:
        draw_arm(canvas, corners, spine.segments[2].depth, streams.skeleton)
    _gas(canvas, spine, streams.gas)
    pixels = _process(_detect(canvas, body, streams.exposure), streams.console)
    pixels = _artefacts(pixels, streams.exposure)
    spacing = PixelSpacing(framing.pixel_mm, framing.pixel_mm, "simulated, plane of the spine", "patient")
    radiograph = Radiograph(pixels, spacing, Side.LEFT)
    return AnnotatedFilm(radiograph, framing.to_film.apply(spine.landmarks()))


def _texture(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> FloatImage:
    """Smooth noise of unit deviation that varies over about `scale_px`."""
    height, width = shape
    cells = (max(2, int(height / scale_px) + 2), max(2, int(width / scale_px) + 2))
    coarse = rng.standard_normal(cells, dtype=np.float32)
    smooth: FloatImage = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(
        np.float32, copy=False
    )
    return smooth


def _soft_tissue(canvas: Canvas, spine: Spine, rng: np.random.Generator) -> FloatImage:
    """Trunk and hips between the front and the back skin; returns the share of each pixel that lies inside the body."""
    shape = canvas.attenuation.shape
    corners, depth = spine.corners(), spine.segments[2].depth
    names = ["S1", "L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9", "T8"]
    spine_back = np.array([corners[name][1] for name in names])
    lowest = spine_back[0]
    fat, belly = rng.uniform(0.15, 1.8), rng.uniform(4.0, 7.5)
    back = [lowest + np.array([-(1.2 + fat + rng.uniform(0, 1.6)), -k]) * depth for k in (12.0, 6.0, 3.0, 1.2)]
    back += [point + np.array([-(1.35 + fat + rng.normal(0, 0.05)), 0.0]) * depth for point in spine_back]
    back.append(spine_back[-1] + np.array([-(1.3 + fat), 8 * depth]))
    front = [spine_back[-1] + np.array([belly * depth, 8 * depth])]
    front += [point + np.array([(belly + rng.normal(0, 0.15)) * depth, 0.0]) for point in spine_back[::-3]]
    front += [lowest + np.array([belly * rng.uniform(0.7, 1.1) * depth, -k * depth]) for k in (3.0, 6.0, 12.0)]
    outline = np.array(back + front)
    peak = rng.uniform(3.0, 6.5)
    inside = Canvas(shape[0], shape[1], canvas.to_film)
    inside.area(outline, 1.0, 0.8)
    # Tissue gets thicker from the skin inwards; the hips are thicker than the waist.
    for inset, share in ((0.0, 0.3), (0.35, 0.25), (0.8, 0.25), (1.5, 0.2)):
        middle = outline.mean(axis=0)
        shrunk = outline + np.sign(middle - outline) * (inset * depth, 0)
        canvas.area(shrunk, peak * share, 2.0 + inset * depth * 0.35)
    rows = canvas.to_film.inverse.apply(np.stack([np.full(shape[0], shape[1] / 2), np.arange(shape[0])], axis=1))[:, 1]
    hips = 1 / (1 + np.exp((rows + rng.uniform(-1.0, 1.5) * depth) / (rng.uniform(0.5, 1.6) * depth)))
    canvas.attenuation += (
        (hips * rng.uniform(0.2, 2.8))[:, None] * cv2.GaussianBlur(inside.attenuation, (0, 0), 6)
    ).astype(np.float32)
    pixel = canvas.pixels_per_mm
    canvas.attenuation += rng.uniform(0.05, 0.35) * _texture(shape, 60 * pixel, rng) * inside.attenuation
    canvas.attenuation += rng.uniform(0.01, 0.10) * _texture(shape, 14 * pixel, rng) * inside.attenuation
    return inside.attenuation


def _gas(canvas: Canvas, spine: Spine, rng: np.random.Generator) -> None:
    """Lungs above the diaphragm, and bowel gas in front of the spine and sometimes over it."""
    corners, depth = spine.corners(), spine.segments[2].depth
    if rng.random() < 0.75:
        level = corners[rng.choice(["T9", "T10", "T11", "T12", "L1"])][0]
        x = np.linspace(-3.5, 9, 40)
        for _ in range(2):
            dome = rng.uniform(0.01, 0.06) * (x - rng.uniform(0, 5)) ** 2
            edge = level + depth * np.stack([x, rng.normal(0, 0.25) - dome], axis=1)
            lung = np.concatenate(
                [edge, [[edge[-1, 0], edge[0, 1] + 14 * depth], [edge[0, 0], edge[0, 1] + 14 * depth]]]
            )
            canvas.area(lung, -rng.uniform(0.2, 1.3), rng.uniform(0.5, 2.0))
    for _ in range(int(rng.integers(0, 26))):
        over = rng.random() < 0.15
        forward = rng.uniform(-0.8, 1.2) if over else rng.uniform(1.1, 5.0)
        centre = np.array([forward, rng.uniform(-2.0, 5.5)]) * depth
        radii = (rng.uniform(0.06, 0.55) * depth, rng.uniform(0.05, 0.35) * depth)
        amount = -rng.uniform(0.05, 0.6) * (0.5 if over else 1.0)
        outline = _dented(ellipse(centre, radii, rng.uniform(0, 180)), rng)
        canvas.area(outline, amount, rng.uniform(0.4, 2.5))
        if rng.random() < 0.3:
            canvas.line(outline, rng.uniform(0.02, 0.12), 1.0, 0.4)
    if rng.random() < 0.5:
        _bubbles(canvas, depth, rng)


def _dented(outline: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A closed outline whose distance from its middle wavers, as a bowel loop's does."""
    t = np.linspace(0, 2 * np.pi, len(outline))
    wave = sum(rng.normal(0, 0.22 / k) * np.cos(k * t + rng.uniform(0, 2 * np.pi)) for k in range(2, 6))
    middle = outline.mean(axis=0)
    return np.asarray(middle + (outline - middle) * np.clip(1 + wave, 0.3, 1.8)[:, None])


def _bubbles(canvas: Canvas, depth: float, rng: np.random.Generator) -> None:
    """Gas and stool mixed in the colon: a mottled patch in front of the spine, in the pelvis or over the sacrum."""
    shape = canvas.attenuation.shape
    for _ in range(int(rng.integers(1, 4))):
        centre = np.array([rng.uniform(-0.8, 4.5), rng.uniform(-3.5, 4.5)]) * depth
        patch = Canvas(shape[0], shape[1], canvas.to_film)
        radii = (rng.uniform(0.5, 1.6) * depth, rng.uniform(0.5, 1.8) * depth)
        patch.area(_dented(ellipse(centre, radii, rng.uniform(0, 180)), rng), 1.0, 0.2 * depth)
        mottle = _texture(shape, rng.uniform(3, 11) * canvas.pixels_per_mm, rng)
        canvas.attenuation -= (
            patch.attenuation * rng.uniform(0.1, 0.5) * np.clip(mottle - rng.uniform(-0.5, 0.6), 0, 1.5)
        )


def _detect(canvas: Canvas, body: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Log signal behind the patient: primary beam plus scatter (a wide blur of it), blur of focus and detector, noise."""
    primary = np.exp(-np.clip(canvas.attenuation, 0, 14))
    pixel = canvas.pixels_per_mm
    small = cv2.resize(primary, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    scatter = cv2.GaussianBlur(small, (0, 0), max(1.0, 12 * pixel / 8))
    scatter = cv2.resize(scatter, (primary.shape[1], primary.shape[0]), interpolation=cv2.INTER_LINEAR)
    flux = primary + rng.uniform(0.01, 0.25) * scatter
    flux = cv2.GaussianBlur(flux, (0, 0), max(0.35, rng.uniform(0.15, 0.6) * pixel))
    # The exposure is set for the spine: noise is relative to the signal behind the body.
    level = float(np.median(flux[body > 0.5])) if (body > 0.5).any() else float(np.median(flux))
    relative = rng.uniform(0.003, 0.045)
    grain = rng.standard_normal(flux.shape, dtype=np.float32)
    if rng.random() < 0.5:
        grain = cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.5, 1.0)) * 1.8
    flux = flux + relative * np.sqrt(level * np.maximum(flux, level * 0.02)) * grain
    signal: FloatImage = -np.log(np.maximum(flux, level * 0.01)).astype(np.float32)
    return signal


def _process(log_signal: FloatImage, rng: np.random.Generator) -> FloatImage:
    """What a console makes of the signal: equalisation, edge enhancement, a tone curve, CLAHE, 8 bits, now and then inverted."""
    image = log_signal
    if rng.random() < 0.6:
        sigma = image.shape[0] * rng.uniform(0.03, 0.15)
        small = cv2.resize(image, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
        wide = cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 8), (image.shape[1], image.shape[0]))
        image = image - rng.uniform(0.1, 0.75) * wide
    if rng.random() < 0.35:
        fine = cv2.GaussianBlur(image, (0, 0), rng.uniform(1.0, 4.0))
        image = image + rng.uniform(0.3, 2.0) * (image - fine)
    low, high = np.percentile(image[::4, ::4], [rng.uniform(0, 25), rng.uniform(96.5, 100)])
    image = np.clip((image - low) / max(high - low, 1e-3), 0, 1)
    image = image ** rng.uniform(0.55, 1.7)
    if rng.random() < 0.3:
        tiles = int(rng.integers(2, 9))
        clahe = cv2.createCLAHE(rng.uniform(1, 4), (tiles, tiles))
        image = clahe.apply((image * 255).astype(np.uint8)).astype(np.float32) / 255
    if rng.random() < 0.06:
        image = 1 - image
    shown: FloatImage = image.astype(np.float32)
    return shown


def _artefacts(image: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Collimation, side markers, borders, glare of a photographed light box."""
    image = image.copy()
    height, width = image.shape
    if rng.random() < 0.4:
        shade = float(rng.choice([0.0, 0.0, 1.0, rng.random()]))
        for side in rng.permutation(4)[: int(rng.integers(1, 4))]:
            cut = int(rng.uniform(0, 0.05) * height)
            if cut:
                [image[:cut], image[-cut:], image[:, :cut], image[:, -cut:]][side][:] = shade
    for _ in range(int(rng.integers(0, 3))):
        text = str(rng.choice(["R", "L", "RT", "LT", "RT.", "LT.", "STANDING", "LAT", "12"]))
        at = (int(rng.uniform(0, 0.9) * width), int(rng.uniform(0.03, 0.99) * height))
        size = rng.uniform(0.3, 1.3) * height / 700
        mask = np.zeros((height, width), np.uint8)
        cv2.putText(mask, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, 255, 2, cv2.LINE_AA)
        image = np.maximum(image, mask.astype(np.float32) / 255 * float(rng.choice([1.0, 1.0, 0.8])))
    if rng.random() < 0.2:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        centre = rng.uniform(-0.2, 1.2, 2) * (height, width)
        spread = rng.uniform(0.15, 0.8) * height
        glow = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * spread**2))
        image = image * rng.uniform(0.6, 1.0) + rng.uniform(-0.35, 0.35) * glow
    image = image + rng.uniform(0, 0.015) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image, 0, 1).astype(np.float32)
