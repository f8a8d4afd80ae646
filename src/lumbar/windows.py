"""Parts of a film that a network is shown: where the spine may be, and how much around it."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from lumbar.anatomy import Side
from lumbar.geometry import Affine2D, FloatArray
from lumbar.radiograph import Radiograph

Window = tuple[float, float, float, float]
"""(x0, y0, x1, y1)."""


class View(StrEnum):
    """What of a film a landmark network sees: a crop around the lumbosacral box, or all of it, the paper's ablation without a localiser."""

    BOX = "box"
    FILM = "film"


def boxes_like(box: FloatArray) -> list[FloatArray]:
    """Boxes where the spine may be that this one (x0, y0, x1, y1) misses: longer, shorter at either end, the next below, twice as large."""
    x0, y0, x1, y1 = box
    wide, tall = x1 - x0, y1 - y0
    third = tall / 3
    return [
        np.array(other)
        for other in (
            (x0, y0 - third, x1, y1 + third),
            (x0, y0, x1, y1 - third),
            (x0, y0 + third, x1, y1),
            (x0, y0 + tall, x1, y1 + tall),
            (x0 - wide / 2, y0 - tall / 2, x1 + wide / 2, y1 + tall / 2),
        )
    ]


def window_around(spine: FloatArray, fill: float, tall: float) -> Window:
    """The window, `tall` times as high as wide, about the middle of `spine` (x0, y0, x1, y1), which takes `fill` of its height."""
    low, high = spine[:2], spine[2:]
    size, middle = high - low, (low + high) / 2
    height = max(size[1] / fill, size[0] / min(1.0, fill * 1.35) * tall)
    half = np.array([height / tall, height]) / 2
    return (*(middle - half), *(middle + half))


def upright_frame(radiograph: Radiograph, anterior: Side) -> Affine2D:
    """Film pixels -> square pixels with the anterior on the left: what the networks were trained on."""
    turn = (
        Affine2D.identity("film", "film")
        if anterior is Side.LEFT
        else Affine2D.mirror(radiograph.width, "film", "film")
    )
    return turn.then(Affine2D.scaling(1.0, radiograph.aspect, "film", "upright"))


def whole_film(radiograph: Radiograph, upright: Affine2D) -> Window:
    """The film's edges in the upright frame."""
    corners = upright.apply([[-0.5, -0.5], [radiograph.width - 0.5, radiograph.height - 0.5]])
    return (*corners.min(axis=0), *corners.max(axis=0))
