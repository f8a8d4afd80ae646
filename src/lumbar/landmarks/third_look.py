"""From corners as close-ups of whole bodies place them to where each lies, seen at the film's resolution."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import LANDMARK_INDEX, Vertebra, corners_of
from lumbar.geometry import Affine2D, FloatArray
from lumbar.landmarks.close_up import without_target
from lumbar.landmarks.consensus import Consensus
from lumbar.landmarks.corner_view import corner_view
from lumbar.landmarks.decoding import Candidates

Look = Callable[[Mapping[int, Affine2D]], Mapping[int, tuple[FloatArray, FloatArray]]]
"""Views from the candidates' frame by landmark; for each where the corner lies in it (2,), and its covariance (2, 2)."""

SHARE = 0.85
"""How much the corner's own view counts beside the close-up of the body. Chosen on validation films and six real ones; see the model card."""


def look_at_corners(found: Consensus, named: NDArray[np.intp], look: Look) -> Consensus:
    """`found` with each corner of its named bodies looked at once more.

    named (6,): index of each level's candidate, -1 for none; S1 has its superior corners alone. Corners that no close-up has placed stay.
    A corner is then the mean of both answers, weighted by `SHARE`, and what they leave open is the covariance of the mixture of the two: where they
    disagree it is wider.
    """
    corners, covariance = found.candidates.corners.copy(), found.covariance.copy()
    places = {
        LANDMARK_INDEX[vertebra, corner]: (int(body), row)
        for vertebra, body in zip(Vertebra, named, strict=True)
        for row, corner in enumerate(corners_of(vertebra))
        if body >= 0 and np.isfinite(found.covariance[body, row]).all()
    }
    if not places:
        return found
    views = {
        landmark: corner_view(corners[body, row], corners[body, :2], row, "upright")
        for landmark, (body, row) in places.items()
    }
    for landmark, (place, width) in look(views).items():
        (body, row), view = places[landmark], views[landmark]
        (there,) = view.inverse.apply(place[None])
        (open_there,) = view.inverse.apply_covariance(without_target(width)[None])
        apart = there - corners[body, row]
        corners[body, row] += SHARE * apart
        covariance[body, row] = (
            (1 - SHARE) * covariance[body, row] + SHARE * open_there + SHARE * (1 - SHARE) * np.outer(apart, apart)
        )
    candidates = Candidates(found.candidates.centres, corners, found.candidates.scores)
    return Consensus(candidates, covariance)
