"""A close-up of one corner of a vertebral body, at about the film's own resolution.

Every corner is turned and mirrored so that it looks like a superior anterior one: the endplate lies level, the body below it and to
the right. So what is learnt of one corner holds for all four; two constant channels tell which of them it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import LANDMARKS, Corner
from lumbar.crop import cut, standardised
from lumbar.geometry import Affine2D, FloatArray

SIZE = 64
"""Rows and columns of the view."""

INPUTS = 4
"""Channels: the view, its surroundings, and two that tell which corner it is."""

DEPTH = 104.0
"""How long the body's superior endplate would be in the view, in its pixels: twice as long as in a close-up of the body. The view is 0.6 endplates wide."""

SURROUNDINGS = 2.0
"""The second channel shows so much more on each side, about the same middle."""


def corner_view(corner: FloatArray, endplate: FloatArray, row: int, source: str) -> Affine2D:
    """The map from `source` (y down, anterior on the left) into the view of a corner, which lies in its middle.

    corner (2,): where it is thought to be. endplate (2, 2): anterior and posterior end of the body's superior endplate. row: which corner it is, in
    the order of `anatomy.Corner`. Raises ValueError where the ends of the endplate are the same point.

    >>> view = corner_view(np.array([52.0, 40.0]), np.array([[0.0, 0.0], [52.0, 0.0]]), 3, "upright")  # inferior posterior
    >>> view.apply([[52.0, 40.0], [42.0, 35.0]]).tolist()  # the body lies below and to the right
    [[31.5, 31.5], [51.5, 41.5]]
    """
    along = np.asarray(endplate[1] - endplate[0], dtype=np.float64)
    length = float(np.hypot(*along))
    if not length > 0:
        raise ValueError("the two ends of an endplate must be two points")
    cosine, sine = along / length
    inferior, posterior = _which(row)
    mirror = np.diag([-1.0 if posterior else 1.0, -1.0 if inferior else 1.0])
    turn = mirror @ np.array([[cosine, sine], [-sine, cosine]]) * (DEPTH / length)
    return Affine2D(turn, np.full(2, (SIZE - 1) / 2) - turn @ corner, source, "corner")


def channels(to_view: Affine2D) -> tuple[Affine2D, Affine2D]:
    """The maps into the two channels that show the film: the view, and its surroundings."""
    middle = np.full(2, (SIZE - 1) / 2)
    wider = Affine2D(np.eye(2) / SURROUNDINGS, middle - middle / SURROUNDINGS, to_view.target, "surroundings")
    return to_view, to_view.then(wider)


def cut_corners(
    pixels: NDArray[np.float32],
    views: Mapping[int, Affine2D],
    look: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda crop: crop,
) -> NDArray[np.float32]:
    """What the network sees of a film (22, 4, SIZE, SIZE): all 0 for a corner that has no view.

    views: from the film, by landmark. look: what is done to the grey values before they are standardised. The last two channels are 1 for a
    posterior corner, else -1, and 1 for an inferior one, else -1.
    """
    seen = np.zeros((len(LANDMARKS), INPUTS, SIZE, SIZE), dtype=np.float32)
    for landmark, view in views.items():
        for channel, to_channel in enumerate(channels(view)):
            crop, inside = cut(pixels, to_channel, SIZE, SIZE)
            seen[landmark, channel] = standardised(look(crop), inside)
        inferior, posterior = _which(list(Corner).index(LANDMARKS[landmark][1]))
        seen[landmark, 2], seen[landmark, 3] = 2.0 * posterior - 1, 2.0 * inferior - 1
    return seen


def _which(row: int) -> tuple[bool, bool]:
    """Whether a corner is inferior, and whether it is posterior."""
    return row >= 2, row % 2 == 1
