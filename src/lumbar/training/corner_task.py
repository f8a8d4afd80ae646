"""Training the corner network on the corners of films that face left, seen about wrong places as the reader sees them."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lumbar.anatomy import LANDMARK_INDEX, Vertebra, corners_of, rows_of
from lumbar.geometry import Affine2D, FloatArray
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.landmarks.close_up import place_in
from lumbar.landmarks.corner_view import DEPTH, corner_view, cut_corners
from lumbar.networks.corner_net import CornerNet
from lumbar.networks.small_unet import place_loss
from lumbar.training.augmentation import draw_look
from lumbar.training.loop import Recipe, Task
from lumbar.training.picture_task import Cases, picture_task
from lumbar.training.stream import Films

SAMPLES_OF_A_FILM = 3

_UNREAD = 0.2  # share of films whose upper or lower bodies are not seen, as on a film that is cut off
_MISSED = 0.01  # share of corners that are not seen


def corner_task(recipe: Recipe, films: Films, randomised: float = 0.0) -> Task:
    """The task of training `CornerNet` on `films`; a share `randomised` of the samples looks like no film (`Appearance`)."""

    def loss(output: object, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        assert isinstance(output, Tensor)
        return {"total": place_loss(output, batch[1])}

    def judge(network: nn.Module, cases: Cases) -> tuple[dict[str, float], np.ndarray]:
        return corner_figures(network, cases), _contact_sheet(network, cases[0])

    return picture_task(CornerNet(), sample, SAMPLES_OF_A_FILM, loss, judge, recipe, films, randomised)


def sample(
    film: AnnotatedFilm, rng: np.random.Generator, varied: bool = True, randomised: float = 0.0
) -> tuple[np.ndarray, ...]:
    """Network input (22, 4, SIZE, SIZE) and the corners' places (22, 2) in their views, NaN for those that are not seen.

    varied: with another contrast than the film's. randomised: the share of samples that look like no film, all corners alike.
    """
    left = film.facing_left()
    pixels, points = left.radiograph.pixels, left.landmarks_px
    look = draw_look(rng, randomised) if varied else None
    turned, moved = rng.choice([0.03, 0.05, 0.1]), rng.choice([0.012, 0.02, 0.03])
    marked = [vertebra for vertebra in Vertebra if np.isfinite(points[rows_of(vertebra)][:2]).all()]
    if not marked:
        raise ValueError("a film to train on must have a vertebra whose superior endplate is marked; got none")
    if rng.random() < _UNREAD:
        unread = int(rng.integers(1, 4))
        marked = (marked[unread:] if rng.random() < 0.5 else marked[:-unread]) or marked
    views: dict[int, Affine2D] = {}
    for vertebra in marked:
        body = points[rows_of(vertebra)]
        endplate = _misplaced(body[:2], turned, rng)
        together = rng.normal(0, 0.02 if rng.random() < 0.3 else 0.005, 2)
        for row, corner in enumerate(corners_of(vertebra)):
            alone = rng.normal(0, moved if rng.random() < 0.75 else 0.06, 2)
            off = np.clip(together + alone, -0.24, 0.24) * np.linalg.norm(body[0] - body[1])
            missed = rng.random() < _MISSED and len(views) > 0
            if not missed and np.isfinite(body[row]).all():
                views[LANDMARK_INDEX[vertebra, corner]] = corner_view(body[row] + off, endplate, row, "film")
    places = np.full(points.shape, np.nan, dtype=np.float32)
    for landmark, view in views.items():
        places[landmark] = view.apply(points[landmark])
    if look is None:
        return cut_corners(pixels, views), places
    return cut_corners(pixels, views, lambda crop: look.apply(crop, rng)), places


def _misplaced(endplate: FloatArray, turned: float, rng: np.random.Generator) -> FloatArray:
    """An endplate as close-ups may give it: turned (standard deviation in radians), longer or shorter."""
    angle = np.clip(rng.normal(0, turned), -0.4, 0.4)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    half = 0.5 * np.exp(np.clip(rng.normal(0, 0.05), -0.2, 0.2)) * turn @ (endplate[1] - endplate[0])
    middle = endplate.mean(axis=0)
    return np.stack([middle - half, middle + half])


@torch.no_grad()
def _answers(network: nn.Module, cases: Cases) -> FloatArray:
    """The corners' places (N, 22, 2) in their views."""
    network.eval()
    device = next(network.parameters()).device
    found = []
    for image, _ in cases:
        maps = network(torch.from_numpy(image[None]).to(device))[0].float().cpu().numpy()
        found.append([place_in(logits)[0] for logits in maps])
    return np.array(found)


def corner_figures(network: nn.Module, cases: Cases) -> dict[str, float]:
    """Corner errors as shares of the endplate's depth: their mean, `error`, and their median."""
    error = np.linalg.norm(_answers(network, cases) - np.stack([case[1] for case in cases]), axis=-1) / DEPTH
    return {"error": float(np.nanmean(error)), "median": float(np.nanmedian(error))}


def _contact_sheet(network: nn.Module, case: tuple[np.ndarray, ...]) -> np.ndarray:
    """A film's corners side by side, the true place green, the found one red: (H, W, 3) uint8 RGB."""
    tiles = []
    for image, true, found in zip(*case, _answers(network, [case])[0], strict=True):
        rows = [cv2.resize(np.clip(c * 60 + 110, 0, 255).astype(np.uint8), None, fx=3, fy=3) for c in image[:2]]
        tile = cv2.cvtColor(np.vstack(rows), cv2.COLOR_GRAY2RGB)
        for (x, y), colour in ((true, (0, 220, 0)), (found, (255, 40, 40))):
            if np.isfinite(x):
                cv2.circle(tile, (round(3 * float(x)), round(3 * float(y))), 4, colour, 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.hstack(tiles)
