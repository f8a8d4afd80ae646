"""Training YOLOv8n to box L1 to S1 on whole films, and to say on which side their anterior is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lumbar.anatomy import Side
from lumbar.crop import network_input
from lumbar.geometry import FloatArray, letterbox
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.localisation.decoding import best_box
from lumbar.networks.detection_loss import detection_loss
from lumbar.networks.yolov8 import yolov8n
from lumbar.training.augmentation import draw_look, seen_through
from lumbar.training.loop import Recipe, Task
from lumbar.training.ranks import Ranks
from lumbar.training.stream import Films, FilmStream, batches

FACINGS = (Side.LEFT, Side.RIGHT)
"""The localiser's two classes: where the anterior is."""

_EMPTY = 0.06  # share of samples without a lumbar spine: a strip of film beside one, its rows shuffled


def localiser_task(size: int, recipe: Recipe, films: Films, randomised: float = 0.0) -> Task:
    """The task of training the localiser on `films` letterboxed to size x size; a share `randomised` of them looks like no film (`Appearance`)."""

    def sample(film: AnnotatedFilm, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        return _sample(film, rng, size, randomised)

    def stream(first_sample: int) -> Iterator[tuple[Tensor, ...]]:
        samples = FilmStream(recipe.seed, first_sample, sample, films.training, reuse=4, ranks=Ranks.here())
        return batches(samples, recipe.batch_size, recipe.workers)

    def loss(output: object, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        _, boxes, labels, present = batch
        return detection_loss(output, boxes, labels, present)  # type: ignore[arg-type]

    held_out = FilmStream(0, 0, partial(_sample, size=size), films.validation, reuse=1)
    cases: list[tuple[np.ndarray, ...]] = []

    def validate(network: nn.Module) -> tuple[dict[str, float], np.ndarray]:
        if not cases:
            cases.extend(case for case, _ in zip(held_out, range(films.held_out), strict=False))
        found = [locate(network, case[0]) for case in cases]
        return localiser_figures(found, cases), _contact_sheet(cases[:8], found[:8])

    return Task(yolov8n(classes=len(FACINGS)), stream, loss, validate)


def _sample(
    film: AnnotatedFilm, rng: np.random.Generator, size: int, randomised: float = 0.0
) -> tuple[np.ndarray, ...]:
    """Input (3, size, size), box (4,), label and presence of a part of the film that holds the whole spine, or nothing of it."""
    pixels, points = film.radiograph.pixels, film.landmarks_px
    present = bool(rng.random() >= _EMPTY)
    if present:
        part, corner = _part_with(pixels, points, rng)
    else:
        part, corner = rng.permutation(_part_without(pixels, points)), np.zeros(2)
    height, width = part.shape
    view = letterbox((-0.5, -0.5, width - 0.5, height - 0.5), size, size, "film", "crop")
    image = seen_through(part, view, size, size, draw_look(rng, randomised), rng)
    inside = view.apply(points - corner)
    box = np.concatenate([np.nanmin(inside, axis=0), np.nanmax(inside, axis=0)]).astype(np.float32)
    return network_input([image])[0], box, np.array(FACINGS.index(film.anterior)), np.array(present)


def _part_with(pixels: np.ndarray, points: FloatArray, rng: np.random.Generator) -> tuple[np.ndarray, FloatArray]:
    """A part of the film around all of its landmarks, from the whole film down to a tight cut, and its first pixel (x, y)."""
    height, width = pixels.shape
    low, high = np.floor(np.nanmin(points, axis=0)), np.ceil(np.nanmax(points, axis=0))
    cut_off = np.clip(rng.uniform(-0.4, 0.98, 4), 0, 1)  # two films in five keep an edge
    x0, y0 = np.maximum(low * cut_off[:2], 0).astype(int)
    x1, y1 = (np.array([width, height]) - np.maximum([width, height] - high - 1, 0) * cut_off[2:]).astype(int)
    return pixels[y0:y1, x0:x1], np.array([x0, y0], dtype=np.float64)


def _part_without(pixels: np.ndarray, points: FloatArray) -> np.ndarray:
    """The widest strip of the film beside its landmarks."""
    low, high = float(np.nanmin(points[:, 0])), float(np.nanmax(points[:, 0]))
    left, right = int(max(low, 0)), int(pixels.shape[1] - high)
    if max(left, right) < 32:
        return pixels[:32]
    return pixels[:, : left - 1] if left > right else pixels[:, -right + 1 :]


@torch.no_grad()
def locate(network: nn.Module, image: np.ndarray) -> tuple[FloatArray, float, int]:
    """Box (4,) in input pixels, score and class of one network input (3, H, W)."""
    network.eval()
    device = next(network.parameters()).device
    return best_box(network(torch.from_numpy(image)[None].to(device))[0].float().cpu().numpy())


def overlap(a: FloatArray, b: FloatArray) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    size = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    shared = float(size.prod())
    return shared / (float((a[2:] - a[:2]).prod()) + float((b[2:] - b[:2]).prod()) - shared)


def localiser_figures(
    found: list[tuple[FloatArray, float, int]], cases: list[tuple[np.ndarray, ...]]
) -> dict[str, float]:
    """Mean overlap, share of films facing the right way, scores with and without a spine; `error` is 1 - overlap of films named right."""
    overlaps, facing, score, empty_score = [], [], [], []
    for (box, confidence, kind), (_, truth, label, present) in zip(found, cases, strict=True):
        if not present:
            empty_score.append(confidence)
            continue
        overlaps.append(overlap(box, truth))
        facing.append(kind == label)
        score.append(confidence)
    right = np.array(overlaps) * np.array(facing)
    return {
        "error": float(1 - right.mean()),
        "overlap": float(np.mean(overlaps)),
        "facing": float(np.mean(facing)),
        "score": float(np.mean(score)),
        "empty_score": float(np.mean(empty_score)) if empty_score else 0.0,
    }


def _contact_sheet(cases: list[tuple[np.ndarray, ...]], found: list[tuple[FloatArray, float, int]]) -> np.ndarray:
    tiles = []
    for (image, truth, _, present), (box, score, kind) in zip(cases, found, strict=True):
        grey = np.clip(image[0] * 60 + 110, 0, 255).astype(np.uint8)
        tile = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
        for edges, colour in ((truth, (0, 220, 0)), (box, (255, 40, 40))):
            if colour[0] or present:
                x0, y0, x1, y1 = (round(float(v)) for v in edges)
                cv2.rectangle(tile, (x0, y0), (x1, y1), colour, 1)
        cv2.putText(tile, f"{FACINGS[kind]} {score:.2f}", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 40, 40), 1)
        tiles.append(tile)
    return np.hstack(tiles)
