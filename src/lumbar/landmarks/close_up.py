"""A close-up of one vertebral body: where to look, and what the answer says of its corners and of its name.

The window is laid about the superior endplate, which every vertebra has, so that a body need not have a name to be looked at:
the endplate lies level with its anterior end on the left and is always as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import Vertebra
from lumbar.crop import cut, standardised
from lumbar.geometry import Affine2D, FloatArray

SIZE = 128
"""Rows and columns of a close-up."""

STRIDE = 2
"""Pixels of the close-up for each cell of the answer's maps."""

DEPTH = 52.0
"""How long the superior endplate is in the close-up, in its pixels: 2.5 endplates fill it."""

SURROUNDINGS = 2.2
"""The second channel shows so much more on each side, about the same middle: five or six endplates, the neighbours on either side."""

TARGET_SD = 1.0
"""A corner is taught as a Gaussian of this deviation, in cells: the answer is as wide where the network has no doubt."""

ABOVE, NO_BODY = "above", "none"
KINDS: tuple[str, ...] = (*(vertebra.value for vertebra in Vertebra), ABOVE, NO_BODY)
"""What a close-up may show in its middle: a vertebra that is read, one above L1, or none (the sacrum below S1, a disc, anything)."""

_MIDDLE_BELOW = 0.38  # the middle of a lumbar body is so far below its superior endplate, in depths
_REACH = 6  # cells around a map's peak that its moments are taken over


@dataclass(frozen=True, slots=True, eq=False)
class CloseUp:
    """What a close-up shows, in its own pixels.

    corners (4, 2) in the order of `anatomy.Corner`; covariance (4, 2, 2) as wide as the map says, not yet an error bar;
    kinds (8,) probabilities in the order of `KINDS`.
    """

    corners: FloatArray
    covariance: FloatArray
    kinds: FloatArray


def close_up_of(endplate: FloatArray, source: str) -> Affine2D:
    """The map from `source` (y down, anterior on the left) into the close-up of the body below a superior endplate.

    endplate (2, 2): its anterior and its posterior end. Raises ValueError where the two are the same point.

    >>> view = close_up_of(np.array([[0.0, 0.0], [52.0, 0.0]]), "upright")
    >>> view.apply([[0.0, 0.0], [52.0, 0.0]]).round(2).tolist()
    [[37.5, 43.74], [89.5, 43.74]]
    """
    anterior, posterior = np.asarray(endplate, dtype=np.float64)
    along = posterior - anterior
    length = float(np.hypot(*along))
    if not length > 0:
        raise ValueError("the two ends of an endplate must be two points")
    cosine, sine = along / length
    turn = np.array([[cosine, sine], [-sine, cosine]]) * (DEPTH / length)
    below = np.array([0.0, _MIDDLE_BELOW * DEPTH])
    middle = np.full(2, (SIZE - 1) / 2)
    return Affine2D(turn, middle - below - turn @ (anterior + posterior) / 2, source, "close-up")


def cut_close_up(pixels: NDArray[np.float32], film_to_close_up: Affine2D) -> NDArray[np.float32]:
    """The two channels that the network sees: (2, SIZE, SIZE), the close-up and its surroundings, each standardised."""
    return np.stack([standardised(*cut(pixels, view, SIZE, SIZE)) for view in channels(film_to_close_up)])


def channels(to_close_up: Affine2D) -> tuple[Affine2D, Affine2D]:
    """The maps into the two channels: the close-up, and its surroundings."""
    middle = np.full(2, (SIZE - 1) / 2)
    wider = Affine2D(np.eye(2) / SURROUNDINGS, middle - middle / SURROUNDINGS, to_close_up.target, "surroundings")
    return to_close_up, to_close_up.then(wider)


def decode(maps: NDArray[Any], kinds: NDArray[Any]) -> CloseUp:
    """The answer to one close-up: maps (4, h, w) and kinds (8,), both before the softmax."""
    places = [place_in(logits) for logits in maps]
    likely = np.exp(kinds - np.max(kinds))
    return CloseUp(
        np.array([place for place, _ in places]),
        np.array([covariance for _, covariance in places]),
        np.asarray(likely / likely.sum(), dtype=np.float64),
    )


def place_in(logits: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Where a map (h, w), before the softmax, has its place (2,), and how wide it is there (2, 2); in pixels of the picture.

    It is the mean of the map around the peak, which is finer than a cell.
    """
    logits = np.asarray(logits, dtype=np.float64)
    row, column = np.unravel_index(int(logits.argmax()), logits.shape)
    rows = slice(max(0, row - _REACH), row + _REACH + 1)
    columns = slice(max(0, column - _REACH), column + _REACH + 1)
    share = np.exp(logits[rows, columns] - logits[row, column])
    share /= share.sum()
    y, x = np.mgrid[rows, columns][:, : share.shape[0], : share.shape[1]]
    cells = np.stack([x, y], axis=-1).reshape(-1, 2)
    mean = share.ravel() @ cells
    apart = cells - mean
    covariance = (apart * share.reshape(-1, 1)).T @ apart * STRIDE**2
    return np.asarray((mean + 0.5) * STRIDE - 0.5), np.asarray(covariance)


def without_target(covariance: FloatArray) -> FloatArray:
    """Covariances (..., 2, 2) of maps less that of the Gaussian they were taught with; no direction below zero."""
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values - (TARGET_SD * STRIDE) ** 2, 0.0)
    return np.asarray((vectors * values[..., None, :]) @ vectors.swapaxes(-1, -2))
