"""Training a landmark method on crops of films that face left."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lumbar.crop import network_input
from lumbar.geometry import FloatArray
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.landmarks.spine import SpineLandmarks, endplate_depth
from lumbar.networks.method import LandmarkMethod
from lumbar.training.augmentation import crop_window, draw_look, film_window, seen_through
from lumbar.training.loop import Recipe, Task
from lumbar.training.ranks import Ranks
from lumbar.training.stream import Films, FilmStream, batches, visible_only
from lumbar.windows import View

FILL = (0.42, 1.0)
"""Shares of the crop's height that L1 to S1 take in training."""


def landmark_task(
    method: LandmarkMethod,
    height: int,
    width: int,
    recipe: Recipe,
    films: Films,
    view: View = View.BOX,
    randomised: float = 0.0,
) -> Task:
    """The task of training `method` on views of height x width of `films`; a share `randomised` of them looks like no film (`Appearance`)."""

    def sample(film: AnnotatedFilm, rng: np.random.Generator, share: float = randomised) -> tuple[np.ndarray, ...]:
        left = film.facing_left()
        pixels, points = left.radiograph.pixels, left.landmarks_px
        if view is View.BOX:
            window = crop_window(points, height, width, rng.uniform(*FILL), rng)
        else:
            window = film_window(left.radiograph, height, width, rng)
        image = seen_through(pixels, window, height, width, draw_look(rng, share), rng)
        return network_input([image])[0], visible_only(window.apply(points), height, width).astype(np.float32)

    def stream(first_sample: int) -> Iterator[tuple[Tensor, ...]]:
        samples = FilmStream(recipe.seed, first_sample, sample, films.training, ranks=Ranks.here())
        return batches(samples, recipe.batch_size, recipe.workers)

    def loss(output: object, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        assert isinstance(output, tuple)
        return method.loss(output, batch[1], height, width)

    held_out = FilmStream(0, 0, partial(sample, share=0.0), films.validation, reuse=1)
    cases: list[tuple[np.ndarray, ...]] = []

    def validate(network: nn.Module) -> tuple[dict[str, float], np.ndarray]:
        if not cases:
            cases.extend(case for case, _ in zip(held_out, range(films.held_out), strict=False))
        found = [read_crop(method, network, image) for image, _ in cases]
        return landmark_figures(found, [points for _, points in cases]), contact_sheet(cases[:8], found[:8])

    return Task(method.build(), stream, loss, validate)


@torch.no_grad()
def read_crop(method: LandmarkMethod, network: nn.Module, image: np.ndarray) -> SpineLandmarks:
    """Landmarks of one network input (3, H, W), in its pixels."""
    network.eval()
    device = next(network.parameters()).device
    maps = network(torch.from_numpy(image)[None].to(device))
    return method.decode(tuple(m[0].float().cpu().numpy() for m in maps))


def landmark_figures(found: list[SpineLandmarks], truth: list[FloatArray]) -> dict[str, float]:
    """Median and mean corner error as shares of the endplate depth, corners missed, films whose names are off.

    `error`, by which weights are chosen, is the mean with every error capped at half a depth and a missed corner counted so.
    """
    errors, missed, shifted = [], 0, 0
    for spine, points in zip(found, truth, strict=True):
        wanted = ~np.isnan(points[:, 0])
        error = np.linalg.norm(spine.points_px - points, axis=1)[wanted] / endplate_depth(points)
        seen = error[~np.isnan(error)]
        missed += len(error) - len(seen)
        shifted += bool(len(seen) and np.median(seen) > 0.4)
        errors.append(error)
    every = np.concatenate(errors)
    found_errors = every[~np.isnan(every)]
    capped = np.minimum(np.nan_to_num(every, nan=0.5), 0.5)
    return {
        "error": float(capped.mean()),
        "median": float(np.median(found_errors)) if len(found_errors) else float("nan"),
        "mean": float(found_errors.mean()) if len(found_errors) else float("nan"),
        "missed": missed / len(every),
        "shifted": shifted / len(found),
    }


def contact_sheet(cases: list[tuple[np.ndarray, ...]], found: list[SpineLandmarks]) -> np.ndarray:
    """Network inputs side by side, true corners green, found ones red: (H, W, 3) uint8 RGB."""
    tiles = []
    for (image, points), spine in zip(cases, found, strict=True):
        grey = np.clip(image[0] * 60 + 110, 0, 255).astype(np.uint8)
        tile = cv2.cvtColor(cv2.resize(grey, None, fx=2, fy=2), cv2.COLOR_GRAY2RGB)
        for where, colour in ((points, (0, 220, 0)), (spine.points_px, (255, 40, 40))):
            for x, y in where[~np.isnan(where[:, 0])]:
                cv2.circle(tile, (round(2 * x), round(2 * y)), 3, colour, 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.hstack(tiles)
