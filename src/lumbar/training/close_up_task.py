"""Training the close-up network on single bodies of films that face left, seen about a wrong place as the reader sees them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lumbar.anatomy import Vertebra, rows_of
from lumbar.crop import cut, standardised
from lumbar.geometry import FloatArray
from lumbar.landmarks import close_up
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.landmarks.close_up import ABOVE, DEPTH, KINDS, NO_BODY, SIZE, close_up_of
from lumbar.networks.close_up_net import CloseUpNet, close_up_loss
from lumbar.training.augmentation import draw_look
from lumbar.training.loop import Recipe, Task
from lumbar.training.picture_task import Cases, picture_task
from lumbar.training.stream import Films

SAMPLES_OF_A_FILM = 24
_SHARES = {ABOVE: 0.08, NO_BODY: 0.10}  # of samples that show no vertebra with a name


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Something to look at: its superior endplate (2, 2), its corners (4, 2), NaN where unknown, and its kind, in film pixels."""

    endplate: FloatArray
    corners: FloatArray
    kind: str


def close_up_task(recipe: Recipe, films: Films, randomised: float = 0.0) -> Task:
    """The task of training `CloseUpNet` on `films`; a share `randomised` of the close-ups looks like no film (`Appearance`)."""

    def loss(output: object, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        return close_up_loss(output, batch[1], batch[2])  # type: ignore[arg-type]

    def judge(network: nn.Module, cases: Cases) -> tuple[dict[str, float], np.ndarray]:
        return close_up_figures(network, cases), _contact_sheet(network, cases[:8])

    return picture_task(CloseUpNet(), sample, SAMPLES_OF_A_FILM, loss, judge, recipe, films, randomised)


def sample(
    film: AnnotatedFilm, rng: np.random.Generator, varied: bool = True, randomised: float = 0.0
) -> tuple[np.ndarray, ...]:
    """Network input (2, SIZE, SIZE), corners (4, 2) in its pixels and index of its kind, of some body of the film.

    varied: with another contrast than the film's. randomised: the share of them that looks like no film, the surroundings like the close-up.
    """
    left = film.facing_left()
    pixels, points = left.radiograph.pixels, left.landmarks_px
    body = _some_body(points, rng)
    view = close_up_of(misplaced(body.endplate, rng), "film")
    look = draw_look(rng, randomised) if varied else None
    seen = []
    for channel in close_up.channels(view):
        crop, inside = cut(pixels, channel, SIZE, SIZE)
        seen.append(standardised(crop if look is None else look.apply(crop, rng), inside))
    corners = view.apply(body.corners).astype(np.float32)
    return np.stack(seen), corners, np.array(KINDS.index(body.kind))


def _some_body(points: FloatArray, rng: np.random.Generator) -> Body:
    """A vertebra of the film whose superior endplate is marked, or what lies above L1, or something that is no body."""
    named = [v for v in Vertebra if not np.isnan(points[rows_of(v)][:2]).any()]
    vertebra = named[int(rng.integers(len(named)))]
    draw = rng.random()
    if draw < _SHARES[ABOVE] and {Vertebra.L1, Vertebra.L2} <= set(named):
        first, second = points[rows_of(Vertebra.L1)][:2], points[rows_of(Vertebra.L2)][:2]
        return _unmarked(first + (first - second) * 0.94, ABOVE)  # T12 is a little lower than L1
    if draw > 1 - _SHARES[NO_BODY]:
        return _unmarked(_nothing(points, vertebra, rng), NO_BODY)
    corners = np.full((4, 2), np.nan)
    rows = rows_of(vertebra)
    corners[: rows.stop - rows.start] = points[rows]
    return Body(corners[:2], corners, vertebra.value)


def _unmarked(endplate: FloatArray, kind: str) -> Body:
    return Body(endplate, np.full((4, 2), np.nan), kind)


def _nothing(points: FloatArray, vertebra: Vertebra, rng: np.random.Generator) -> FloatArray:
    """An endplate that is none: of the sacrum below S1, or half a body away from a vertebra."""
    endplate = points[rows_of(vertebra)][:2]
    along = endplate[1] - endplate[0]
    down = np.array([-along[1], along[0]])
    if vertebra is Vertebra.S1 or rng.random() < 0.3:
        sacrum = points[rows_of(Vertebra.S1)][:2]
        if not np.isnan(sacrum).any():
            along = sacrum[1] - sacrum[0]
            down = np.array([-along[1], along[0]])
            middle = sacrum.mean(axis=0) + down * rng.uniform(0.55, 1.3) + along * rng.uniform(0.0, 0.4)
            half = along * rng.uniform(0.35, 0.5)
            return np.stack([middle - half, middle + half])
    away = rng.choice([-1.0, 1.0], 2) * rng.uniform(0.42, 0.58, 2)
    side = rng.random() < 0.5
    moved: FloatArray = endplate + (away[0] * down if side else away[1] * 2 * along)
    return moved


def misplaced(endplate: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The endplate as a first look may give it: moved, turned and longer or shorter."""
    wide = 2.0 if rng.random() < 0.25 else 1.0
    along = endplate[1] - endplate[0]
    length = np.hypot(*along)
    middle = endplate.mean(axis=0) + np.clip(rng.normal(0, 0.07 * wide, 2), -0.35, 0.35) * length
    angle = np.clip(rng.normal(0, 0.09 * wide), -0.5, 0.5)
    half = 0.5 * np.exp(np.clip(rng.normal(0, 0.08 * wide), -0.4, 0.4)) * along
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.stack([middle - turn @ half, middle + turn @ half])


@torch.no_grad()
def _answers(network: nn.Module, cases: Cases) -> list[close_up.CloseUp]:
    network.eval()
    device = next(network.parameters()).device
    found = []
    for start in range(0, len(cases), 32):
        images = torch.from_numpy(np.stack([case[0] for case in cases[start : start + 32]])).to(device)
        maps, kinds = (part.float().cpu().numpy() for part in network(images))
        found += [close_up.decode(m, k) for m, k in zip(maps, kinds, strict=True)]
    return found


def close_up_figures(network: nn.Module, cases: Cases) -> dict[str, float]:
    """Corner errors as shares of the endplate's depth, `error` with each capped at half of it; and kinds named wrong."""
    found = _answers(network, cases)
    apart = np.stack([answer.corners - case[1] for answer, case in zip(found, cases, strict=True)])
    error = np.linalg.norm(apart, axis=-1) / DEPTH
    known = error[~np.isnan(error)]
    wrong = [int(answer.kinds.argmax()) != int(case[2]) for answer, case in zip(found, cases, strict=True)]
    return {
        "error": float(np.minimum(known, 0.5).mean()),
        "median": float(np.median(known)),
        "kinds_wrong": float(np.mean(wrong)),
    }


def _contact_sheet(network: nn.Module, cases: Cases) -> np.ndarray:
    """Close-ups side by side, true corners green, found ones red: (H, W, 3) uint8 RGB."""
    tiles = []
    for (image, points, _), answer in zip(cases, _answers(network, cases), strict=True):
        rows = [cv2.resize(np.clip(c * 60 + 110, 0, 255).astype(np.uint8), None, fx=2, fy=2) for c in image]
        tile = cv2.cvtColor(np.vstack(rows), cv2.COLOR_GRAY2RGB)
        for where, colour in ((points, (0, 220, 0)), (answer.corners, (255, 40, 40))):
            for x, y in where[~np.isnan(where[:, 0])]:
                cv2.circle(tile, (round(2 * x), round(2 * y)), 3, colour, 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.hstack(tiles)
