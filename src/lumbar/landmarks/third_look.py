"""From corners as close-ups of whole bodies place them to where each corner, seen by itself, lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import Vertebra, rows_of
from lumbar.geometry import Affine2D, FloatArray
from lumbar.landmarks.close_up import without_target
from lumbar.landmarks.consensus import Consensus
from lumbar.landmarks.corner_view import corner_view
from lumbar.landmarks.decoding import Candidates

Look = Callable[[Sequence[tuple[Affine2D, int]]], list[tuple[FloatArray, FloatArray]]]
"""Views from the candidates' frame with the row of the corner that each shows; for each where the corner lies in it (2,), and its covariance (2, 2)."""

SHARE = 0.65
"""How much the corner's own view counts beside the close-up of the body. The two err in different ways; see the model card."""


def look_at_corners(found: Consensus, named: NDArray[np.intp], look: Look) -> Consensus:
    """`found` with each corner of its named bodies looked at once more.

    named (6,): index of each level's candidate, -1 for none; S1 has its superior corners alone. Corners that no close-up has placed stay.
    A corner is then the mean of both answers, weighted by `SHARE`, and what they leave open is the covariance of the mixture of the two: where they
    disagree it is wider.
    """
    corners, covariance = found.candidates.corners.copy(), found.covariance.copy()
    places = [
        (int(body), row)
        for vertebra, body in zip(Vertebra, named, strict=True)
        for row in range(rows_of(vertebra).stop - rows_of(vertebra).start)
        if body >= 0 and np.isfinite(found.covariance[body, row]).all()
    ]
    if not places:
        return found
    views = [
        corner_view(corners[body, row], found.candidates.corners[body, :2], row, "upright") for body, row in places
    ]
    answers = look([(view, row) for view, (_, row) in zip(views, places, strict=True)])
    for (body, row), view, (place, width) in zip(places, views, answers, strict=True):
        (there,) = view.inverse.apply(place[None])
        (open_there,) = view.inverse.apply_covariance(without_target(width)[None])
        apart = there - corners[body, row]
        corners[body, row] += SHARE * apart
        covariance[body, row] = (
            (1 - SHARE) * covariance[body, row] + SHARE * open_there + SHARE * (1 - SHARE) * np.outer(apart, apart)
        )
    candidates = Candidates(found.candidates.centres, corners, found.candidates.scores)
    return Consensus(candidates, covariance)
