"""From the bodies that the whole spine's network found to those that a close-up of each confirms, places anew, and adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import Vertebra
from lumbar.geometry import Affine2D, FloatArray
from lumbar.landmarks.close_up import KINDS, NO_BODY, CloseUp, close_up_of, without_target
from lumbar.landmarks.consensus import Consensus
from lumbar.landmarks.decoding import Candidates, downwards

Look = Callable[[Sequence[Affine2D]], list[CloseUp]]
"""Close-ups through these maps from the candidates' frame, answered."""

LEAST_SCORE = 0.02
"""A candidate that the whole spine's network scores below this at every level is not looked at."""

KIND_WEIGHT = 0.5
"""A level's score is the whole spine's to the power of one less this, times the close-up's to the power of this."""

_UNSEEN = 0.01  # the whole spine's score of a body that only a close-up saw
_LEAST_KIND = 1e-3
_NEW_BODY = 0.5  # probability that a place must reach, where the whole spine's network saw none, of being a vertebra
_FAR = 0.45  # corners that a close-up moves further than so many depths are not believed
_SAME_PLACE = 0.45  # two centres nearer than so many depths are one body
_SAME_ENDPLATE = 0.3  # two superior endplates nearer than so many depths are one
_NEXT_BODY = 0.97  # distance of neighbouring centres, in depths
_LOOKS = 2


def look_closer(found: Consensus, look: Look) -> Consensus:
    """Every candidate looked at twice, the second time about what the first saw; neighbours that were missed looked for.

    The covariance of a corner becomes the close-up's, in squared pixels of the candidates' frame, without the width that the
    targets have; scores become those of both networks together.
    """
    seen = _each_once(looked_at(_worth_a_look(found), look)[0])
    missed = _unseen_neighbours(seen.candidates)
    if len(missed.candidates) == 0:
        return seen
    more, _ = looked_at(missed, look)
    convincing = more.candidates.scores.max(axis=1) >= (_UNSEEN ** (1 - KIND_WEIGHT)) * _NEW_BODY**KIND_WEIGHT
    return _each_once(_joined(seen, _only(more, np.nonzero(convincing)[0])))


def look_there(
    found: Consensus, places: Mapping[int, FloatArray], named: NDArray[np.intp], look: Look
) -> tuple[Consensus, NDArray[np.intp]]:
    """`found` and, beside its own, bodies as close-ups see them at these places: level -> corners (4, 2).

    named (6,): the names of the candidates of `found`; the scores of one count for what is looked for in its stead, too. What is no body is left out.
    Also: the index (N,) that each candidate of `found` has in the result.
    """
    own, corners = found.candidates, np.array(list(places.values()))
    scores = np.full((len(places), len(Vertebra)), _UNSEEN)
    for i, level in enumerate(places):
        if named[level] >= 0:
            scores[i] = np.maximum(scores[i], own.scores[named[level]])
    unseen = np.full((len(places), 4, 2, 2), np.nan)
    there, bodies = looked_at(Consensus(Candidates(corners.mean(axis=1), corners, scores), unseen), look)
    both = _joined(found, _only(there, np.nonzero(bodies >= _NEW_BODY)[0]))
    order = downwards(both.candidates.corners)
    return _only(both, order), np.argsort(order)[: len(own)]


def _worth_a_look(found: Consensus) -> Consensus:
    return _only(found, np.nonzero(found.candidates.scores.max(axis=1, initial=0) >= LEAST_SCORE)[0])


def looked_at(found: Consensus, look: Look) -> tuple[Consensus, FloatArray]:
    """The candidates as close-ups show them, and how likely each is a body at all (N,)."""
    candidates = found.candidates
    if len(candidates) == 0:
        return found, np.zeros(0)
    corners, covariance = candidates.corners.copy(), found.covariance.copy()
    kinds = np.zeros((len(candidates), len(KINDS)))
    for _ in range(_LOOKS):
        views = [close_up_of(corners[i, :2], "upright") for i in range(len(candidates))]
        for i, (view, answer) in enumerate(zip(views, look(views), strict=True)):
            kinds[i] += answer.kinds / _LOOKS
            placed = view.inverse.apply(answer.corners)
            depth = float(np.linalg.norm(candidates.corners[i, 0] - candidates.corners[i, 1]))
            rows = [row for row in range(4) if np.linalg.norm(placed[row] - candidates.corners[i, row]) <= _FAR * depth]
            if answer.kinds[KINDS.index(NO_BODY)] > 0.5 or not {0, 1} <= set(rows):
                continue
            corners[i, rows] = placed[rows]
            covariance[i, rows] = view.inverse.apply_covariance(without_target(answer.covariance))[rows]
    scores = candidates.scores ** (1 - KIND_WEIGHT) * np.maximum(kinds[:, :6], _LEAST_KIND) ** KIND_WEIGHT
    seen = _recentred(Consensus(Candidates(candidates.centres, corners, scores), covariance))
    return seen, 1 - kinds[:, KINDS.index(NO_BODY)]


def _unseen_neighbours(candidates: Candidates) -> Consensus:
    """Where a neighbour of a candidate should be and no candidate is: an upright copy of the candidate, moved along the spine."""
    moved: list[tuple[FloatArray, FloatArray]] = []
    for i in range(len(candidates)):
        corners = candidates.corners[i]
        depth = np.linalg.norm(corners[0] - corners[1])
        down = corners[2:].mean(axis=0) - corners[:2].mean(axis=0)
        step = down / max(np.linalg.norm(down), 1e-6) * _NEXT_BODY * depth
        for way in (-1, 1):
            centre = candidates.centres[i] + way * step
            places = np.concatenate([candidates.centres, [c for c, _ in moved]]) if moved else candidates.centres
            if np.linalg.norm(places - centre, axis=1).min() > _SAME_PLACE * depth:
                moved.append((centre, corners + way * step))
    centres = np.array([centre for centre, _ in moved]).reshape(-1, 2)
    corners = np.array([corners for _, corners in moved]).reshape(-1, 4, 2)
    scores = np.full((len(moved), len(Vertebra)), _UNSEEN)
    return Consensus(Candidates(centres, corners, scores), np.full((len(moved), 4, 2, 2), np.nan))


def _recentred(found: Consensus) -> Consensus:
    """The same bodies, each centred where its corners now say, which is what names are chosen by: S1 in the middle of its endplate."""
    candidates = found.candidates
    sacra = candidates.scores.argmax(axis=1) == len(Vertebra) - 1
    endplates, bodies = candidates.corners[:, :2].mean(axis=1), candidates.corners.mean(axis=1)
    centres = np.where(sacra[:, None], endplates, bodies)
    return Consensus(Candidates(centres, candidates.corners, candidates.scores), found.covariance)


def _each_once(found: Consensus) -> Consensus:
    """Of candidates whose superior endplates have become the same one, the best; from the top downwards."""
    candidates = found.candidates
    endplates = candidates.corners[:, :2].mean(axis=1)
    depth = np.linalg.norm(candidates.corners[:, 0] - candidates.corners[:, 1], axis=1)
    kept: list[int] = []
    for i in np.argsort(-candidates.scores.max(axis=1, initial=0)):
        if all(np.linalg.norm(endplates[i] - endplates[k]) > _SAME_ENDPLATE * depth[k] for k in kept):
            kept.append(int(i))
    best = _only(found, np.array(kept, dtype=np.intp))
    return _only(best, downwards(best.candidates.corners))


def _only(found: Consensus, rows: NDArray[np.intp]) -> Consensus:
    c = found.candidates
    return Consensus(Candidates(c.centres[rows], c.corners[rows], c.scores[rows]), found.covariance[rows])


def _joined(one: Consensus, other: Consensus) -> Consensus:
    a, b = one.candidates, other.candidates
    parts = ((a.centres, b.centres), (a.corners, b.corners), (a.scores, b.scores))
    return Consensus(
        Candidates(*(np.concatenate(pair) for pair in parts)), np.concatenate([one.covariance, other.covariance])
    )
