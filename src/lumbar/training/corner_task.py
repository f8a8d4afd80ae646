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
from lumbar.landmarks.spine import endplate_depth
from lumbar.networks.corner_net import CornerNet
from lumbar.networks.small_unet import place_loss
from lumbar.training.augmentation import draw_look
from lumbar.training.loop import Recipe, Task
from lumbar.training.picture_task import Cases, picture_task
from lumbar.training.stream import Films

SAMPLES_OF_A_FILM = 3

_UNREAD = 0.2  # share of films whose upper or lower bodies are not seen, as on a film that is cut off
_MISSED = 0.01  # share of corners that are not seen
_AS_SEEN = 0.65  # share of samples whose corners are looked at about where close-ups see them, where those have looked
_FARTHEST = 0.24  # how far off a corner is looked at at most, in endplates: the view reaches 0.3
# Mean errors of close-ups, in endplates, that a quarter and a tenth of the films that ours was trained on exceed.
_HARD = (0.022, 0.033)

Thought = dict[Vertebra, tuple[FloatArray, FloatArray]]
"""Where a vertebra is thought to be before its corners are looked at: its endplate (2, 2), and its corners (4 or 2, 2), NaN where unmarked."""


def corner_task(recipe: Recipe, films: Films, randomised: float = 0.0) -> Task:
    """The task of training `CornerNet` on `films`; a share `randomised` of the samples looks like no film (`Appearance`)."""

    def loss(output: object, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        assert isinstance(output, Tensor)
        return {"total": place_loss(output, batch[1])}

    def judge(network: nn.Module, cases: Cases) -> tuple[dict[str, float], np.ndarray]:
        return corner_figures(network, cases), _contact_sheet(network, cases[0])

    return picture_task(CornerNet(), sample, SAMPLES_OF_A_FILM, loss, judge, recipe, films, randomised, _times)


def _times(film: AnnotatedFilm) -> int:
    """Films whose corners close-ups place badly come two or three times as often: most large errors lie on one film in five."""
    if film.seen_px is None or not np.isfinite(film.seen_px).any():
        return 1
    off = np.linalg.norm(film.seen_px - film.landmarks_px, axis=1) / endplate_depth(film.landmarks_px)
    return 1 + int(np.searchsorted(_HARD, np.nanmean(np.minimum(off, _FARTHEST))))


def sample(
    film: AnnotatedFilm, rng: np.random.Generator, varied: bool = True, randomised: float = 0.0
) -> tuple[np.ndarray, ...]:
    """Network input (22, 4, SIZE, SIZE) and the corners' places (22, 2) in their views, NaN for those that are not seen.

    Where close-ups have looked at the film (`seen_px`), two samples of three show its corners about where those see them, the others about places drawn
    by chance. varied: with another contrast than the film's. randomised: the share of samples that look like no film, all corners alike.
    """
    left = film.facing_left()
    pixels, points = left.radiograph.pixels, left.landmarks_px
    look = draw_look(rng, randomised) if varied else None
    seen = left.seen_px if left.seen_px is not None and rng.random() < _AS_SEEN else None
    thought = (_as_seen(points, seen, rng) if seen is not None else {}) or _by_chance(points, rng)
    marked = [vertebra for vertebra in thought if np.isfinite(points[rows_of(vertebra)][:2]).all()]
    if not marked:
        raise ValueError("a film to train on must have a vertebra whose superior endplate is marked; got none")
    if rng.random() < _UNREAD:
        unread = int(rng.integers(1, 4))
        marked = (marked[unread:] if rng.random() < 0.5 else marked[:-unread]) or marked
    views: dict[int, Affine2D] = {}
    for vertebra in marked:
        endplate, corners = thought[vertebra]
        for row, corner in enumerate(corners_of(vertebra)):
            missed = rng.random() < _MISSED and len(views) > 0
            if not missed and np.isfinite(corners[row]).all():
                views[LANDMARK_INDEX[vertebra, corner]] = corner_view(corners[row], endplate, row, "film")
    places = np.full(points.shape, np.nan, dtype=np.float32)
    for landmark, view in views.items():
        places[landmark] = view.apply(points[landmark])
    if look is None:
        return cut_corners(pixels, views), places
    return cut_corners(pixels, views, lambda crop: look.apply(crop, rng)), places


def _as_seen(points: FloatArray, seen: FloatArray, rng: np.random.Generator) -> Thought:
    """About where close-ups see it, off by as much as those are, a fifth less or a quarter more; and by a little that is new each time."""
    thought, share = {}, rng.choice([0.8, 1.0, 1.0, 1.25])
    for vertebra in Vertebra:
        body, there = points[rows_of(vertebra)], seen[rows_of(vertebra)]
        depth = np.linalg.norm(body[0] - body[1])
        off = np.clip(share * (there - body), -_FARTHEST * depth, _FARTHEST * depth)
        corners = body + off + rng.normal(0, 0.006, body.shape) * depth
        if np.isfinite(corners[:2]).all():
            thought[vertebra] = corners[:2], corners
    return thought


def _by_chance(points: FloatArray, rng: np.random.Generator) -> Thought:
    """About the truth: the endplate turned, longer or shorter, the corners off together and each by itself, more on one film than on another."""
    thought = {}
    turned, moved = rng.choice([0.03, 0.05, 0.1]), rng.choice([0.012, 0.02, 0.03])
    for vertebra in Vertebra:
        body = points[rows_of(vertebra)]
        together = rng.normal(0, 0.02 if rng.random() < 0.3 else 0.005, 2)
        widely = np.where(rng.random(len(body)) < 0.75, moved, 0.06)[:, None]
        off = np.clip(together + widely * rng.normal(0, 1, body.shape), -_FARTHEST, _FARTHEST)
        if np.isfinite(body[:2]).all():
            endplate = _misplaced(body[:2], turned, rng)
            thought[vertebra] = endplate, body + off * np.linalg.norm(body[0] - body[1])
    return thought


def _misplaced(endplate: FloatArray, turned: float, rng: np.random.Generator) -> FloatArray:
    """An endplate turned by chance (standard deviation in radians), longer or shorter."""
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
