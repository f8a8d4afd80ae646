"""Training the corner network on single corners of films that face left, seen about a wrong place as the reader sees them."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lumbar.anatomy import Vertebra, rows_of
from lumbar.crop import cut, standardised
from lumbar.geometry import FloatArray
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.landmarks.close_up import place_in
from lumbar.landmarks.corner_view import DEPTH, SIZE, channels, corner_view, with_kind
from lumbar.networks.corner_net import CornerNet
from lumbar.networks.small_unet import place_loss
from lumbar.training.augmentation import draw_look
from lumbar.training.loop import Recipe, Task
from lumbar.training.picture_task import Cases, picture_task
from lumbar.training.stream import Films

SAMPLES_OF_A_FILM = 40


def corner_task(recipe: Recipe, films: Films, randomised: float = 0.0) -> Task:
    """The task of training `CornerNet` on `films`; a share `randomised` of the corners looks like no film (`Appearance`)."""

    def loss(output: object, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        assert isinstance(output, Tensor)
        return {"total": place_loss(output, batch[1][:, None])}

    def judge(network: nn.Module, cases: Cases) -> tuple[dict[str, float], np.ndarray]:
        return corner_figures(network, cases), _contact_sheet(network, cases[:12])

    return picture_task(CornerNet(), sample, SAMPLES_OF_A_FILM, loss, judge, recipe, films, randomised)


def sample(
    film: AnnotatedFilm, rng: np.random.Generator, varied: bool = True, randomised: float = 0.0
) -> tuple[np.ndarray, ...]:
    """Network input (4, SIZE, SIZE) and the corner's place (2,) in its pixels, of some marked corner of the film.

    varied: with another contrast than the film's. randomised: the share of them that looks like no film, the surroundings like the view.
    """
    left = film.facing_left()
    pixels, points = left.radiograph.pixels, left.landmarks_px
    marked = [
        (rows.start + row, row, points[rows][:2])
        for rows in map(rows_of, Vertebra)
        for row in range(rows.stop - rows.start)
        if np.isfinite(points[rows][:2]).all() and np.isfinite(points[rows][row]).all()
    ]
    if not marked:
        raise ValueError("a film to train on must have a vertebra whose superior endplate is marked; got none")
    landmark, row, endplate = marked[int(rng.integers(len(marked)))]
    misplaced, wrong_endplate = _misplaced(points[landmark], endplate, rng)
    view = corner_view(misplaced, wrong_endplate, row, "film")
    look = draw_look(rng, randomised) if varied else None
    seen = []
    for channel in channels(view):
        crop, inside = cut(pixels, channel, SIZE, SIZE)
        seen.append(standardised(crop if look is None else look.apply(crop, rng), inside))
    return with_kind(seen, row), view.apply(points[landmark]).astype(np.float32)


def _misplaced(corner: FloatArray, endplate: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Corner and endplate as close-ups may give them: moved, turned and longer or shorter."""
    along = endplate[1] - endplate[0]
    length = np.hypot(*along)
    deviation = 0.02 if rng.random() < 0.65 else 0.06
    moved = corner + np.clip(rng.normal(0, deviation, 2), -0.24, 0.24) * length
    angle = np.clip(rng.normal(0, 0.05 if rng.random() < 0.75 else 0.12), -0.4, 0.4)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    half = 0.5 * np.exp(np.clip(rng.normal(0, 0.05), -0.2, 0.2)) * turn @ along
    middle = endplate.mean(axis=0)
    return moved, np.stack([middle - half, middle + half])


@torch.no_grad()
def _answers(network: nn.Module, cases: Cases) -> FloatArray:
    """The corners' places (N, 2) in their views."""
    network.eval()
    device = next(network.parameters()).device
    found = []
    for start in range(0, len(cases), 64):
        images = torch.from_numpy(np.stack([case[0] for case in cases[start : start + 64]])).to(device)
        found += [place_in(maps[0])[0] for maps in network(images).float().cpu().numpy()]
    return np.array(found)


def corner_figures(network: nn.Module, cases: Cases) -> dict[str, float]:
    """Corner errors as shares of the endplate's depth: their mean, `error`, and their median."""
    error = np.linalg.norm(_answers(network, cases) - np.stack([case[1] for case in cases]), axis=-1) / DEPTH
    return {"error": float(error.mean()), "median": float(np.median(error))}


def _contact_sheet(network: nn.Module, cases: Cases) -> np.ndarray:
    """Corners side by side, the true place green, the found one red: (H, W, 3) uint8 RGB."""
    tiles = []
    for (image, true), found in zip(cases, _answers(network, cases), strict=True):
        rows = [cv2.resize(np.clip(c * 60 + 110, 0, 255).astype(np.uint8), None, fx=3, fy=3) for c in image[:2]]
        tile = cv2.cvtColor(np.vstack(rows), cv2.COLOR_GRAY2RGB)
        for (x, y), colour in ((true, (0, 220, 0)), (found, (255, 40, 40))):
            cv2.circle(tile, (round(3 * float(x)), round(3 * float(y))), 4, colour, 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.hstack(tiles)
