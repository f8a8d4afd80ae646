"""LSLD-Net's three maps -> vertebra candidates -> the six named vertebrae."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import Vertebra
from lumbar.geometry import Affine2D, FloatArray
from lumbar.landmarks.spine import COUNT, SpineLandmarks

STRIDE = 4
VERTEBRAE = len(Vertebra)
_LEAST_SCORE = 0.03
_MOST = 24
_ABSENT = np.log(0.02)  # what a level costs that no candidate takes
_FLOOR = 0.002  # a score below this counts as this
# How far the next centre is, in depths of the superior endplates: in 45 annotated films of BUU-LSPINE 0.96 to 0.98 (sd 0.08 to
# 0.10) between lumbar bodies and 0.66 (0.08) from L5 to the middle of S1's endplate; wider here, for collapse and slips.
_NEXT_CENTRE, _NEXT_CENTRE_S1, _NEXT_CENTRE_SD = 0.97, 0.65, 0.14
_MISPLACED_MOST = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Bodies that may be one of the six, in pixels of one frame, from the top of the film downwards (`downwards`).

    centres (N, 2); corners (N, 4, 2) in the order of `anatomy.Corner`; scores (N, K) of each heatmap channel in [0, 1].
    """

    centres: FloatArray
    corners: FloatArray
    scores: FloatArray

    def __len__(self) -> int:
        return len(self.centres)

    def mapped(self, to: Affine2D) -> Candidates:
        """The same candidates in another frame."""
        return Candidates(to.apply(self.centres), to.apply(self.corners), self.scores)


def downwards(corners: FloatArray) -> NDArray[np.intp]:
    """The order of bodies (N, 4, 2), anterior on the left, from the top of the spine downwards: by how many of the others lie below each.

    Which of two lies below the other is told along the mean of their axes. Heights on the film would not do: the centre of an L5 that has slipped far
    down a steep sacrum is lower than the middle of S1's endplate.

    >>> l5 = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 8.0], [10.0, 8.0]])
    >>> s1 = np.array([[8.0, 8.0], [14.0, 0.0], [13.0, 13.0], [19.0, 5.0]])  # the middle of its endplate is at (11, 4), L5's centre at (5, 4)
    >>> downwards(np.stack([s1, l5])).tolist()
    [1, 0]
    """
    along = corners[:, 1] - corners[:, 0]
    axis = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.linalg.norm(along, axis=1), 1e-6)[:, None]
    middle = corners[:, :2].mean(axis=1)
    below = ((middle - middle[:, None]) * (axis + axis[:, None])).sum(axis=-1) > 0
    return np.argsort(-below.sum(axis=1), kind="stable")


NO_CANDIDATES = Candidates(np.zeros((0, 2)), np.zeros((0, 4, 2)), np.zeros((0, VERTEBRAE)))


def find_candidates(
    heatmap: NDArray[Any], centre_offset: NDArray[Any], corner_offset: NDArray[Any], reach: int = 0
) -> Candidates:
    """Peaks of the heatmap (K, h, w) and what the offset maps (2, h, w) and (8, h, w) say there, in input pixels.

    reach: average the offsets over the cells up to `reach` around the peak, weighted by the heatmap; 0 is the paper's
    reading of the peak alone, more is right only for a network that learnt offsets that far out.
    """
    best = heatmap.max(axis=0).astype(np.float32)
    h, w = best.shape
    around = cv2.dilate(best, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero((best >= around) & (best > _LEAST_SCORE))
    strongest = np.argsort(-best[rows, columns])[:_MOST]
    rows, columns = rows[strongest], columns[strongest]
    centres, corners = np.zeros((len(rows), 2)), np.zeros((len(rows), 4, 2))
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        y, x = np.mgrid[
            max(row - reach, 0) : min(row + reach + 1, h), max(column - reach, 0) : min(column + reach + 1, w)
        ].reshape(2, -1)
        mine = _nearest_to(x, y, columns, rows, i)
        y, x = y[mine], x[mine]
        weight = best[y, x] / best[y, x].sum()
        cell = np.stack([x, y], axis=1)
        centre = cell + centre_offset[:, y, x].T
        centres[i] = weight @ centre
        corners[i] = centres[i] + (weight @ corner_offset[:, y, x].T).reshape(4, 2)
    order, scores = downwards(corners), heatmap[:, rows, columns].T.astype(np.float64)
    # Cell (0, 0) spans 0..1, pixel (0, 0) is centred on 0.
    return Candidates(centres[order] * STRIDE - 0.5, corners[order] * STRIDE - 0.5, scores[order])


def _nearest_to(
    x: NDArray[Any], y: NDArray[Any], columns: NDArray[Any], rows: NDArray[Any], peak: int
) -> NDArray[np.bool_]:
    """Which cells lie nearer to this peak than to any other: another vertebra answers in the rest."""
    apart = np.hypot(x[:, None] - columns, y[:, None] - rows)
    own = apart[:, peak].copy()
    apart[:, peak] = np.inf
    return np.asarray((own == 0) | (own < apart.min(axis=1)))


LEVELS_REACH = 1
"""How far around a centre `lsld-net-levels` learns its offsets, and averages them when it reads."""


def find_level_candidates(maps: tuple[NDArray[Any], ...]) -> Candidates:
    """Candidates with six level scores from the three maps of `lsld-net-levels`."""
    heatmap, centre_offset, corner_offset = maps
    return find_candidates(heatmap, centre_offset, corner_offset, reach=LEVELS_REACH)


def name_by_order(candidates: Candidates) -> NDArray[np.intp]:
    """The paper's naming: the six strongest candidates from top to bottom are L1 to S1. Index of each level, -1 if absent.

    With fewer than six the lowest is taken for S1.
    """
    strongest = np.sort(np.argsort(-candidates.scores.max(axis=1))[:VERTEBRAE])
    named = np.full(VERTEBRAE, -1, dtype=np.intp)
    if len(strongest):
        named[-len(strongest) :] = strongest
    return named


def name_by_level(candidates: Candidates, likeness: FloatArray | None = None) -> NDArray[np.intp]:
    """Names chosen jointly: the chain of candidates, top to bottom, whose level scores fit best. Index of each level, -1 if absent.

    Candidates passed over between two named ones, and levels left out between two named ones, cost what their scores say;
    neighbours too near or too far for a spine cost by `_misplaced`. Only for scores (N, 6). likeness (N, 6): what else speaks for each
    name, as log likelihood ratios.
    """
    n = len(candidates)
    named = np.full(VERTEBRAE, -1, dtype=np.intp)
    if n == 0:
        return named
    fit = np.log(np.maximum(candidates.scores, _FLOOR)) - _ABSENT + (0.0 if likeness is None else likeness)
    skipped = np.concatenate([[0.0], np.cumsum(_passed_over(candidates))])
    total = fit.copy()
    before = np.full((n, VERTEBRAE, 2), -1)
    apart = _depths_apart(candidates)
    for i in range(1, n):
        gap = skipped[i] - skipped[1 : i + 1, None]
        for level in range(1, VERTEBRAE):
            above = np.arange(level)
            joined = _ABSENT * (level - above - 1) - _misplaced(apart[:i, i, None], above, level)
            score = total[:i, :level] - gap + fit[i, level] + joined
            best = divmod(int(score.argmax()), level)
            if score[best] > total[i, level]:
                total[i, level] = score[best]
                before[i, level] = best
    i, level = divmod(int(total.argmax()), VERTEBRAE)
    while i >= 0:
        named[level] = i
        i, level = before[i, level]
    return named


def naming_score(candidates: Candidates, named: NDArray[np.intp]) -> float:
    """Log of how well these names (6,) fit the candidates: the score that `name_by_level` makes largest."""
    total, above, apart = 0.0, -1, _depths_apart(candidates)
    passed = _passed_over(candidates)
    for level, index in enumerate(named):
        if index < 0:
            total += _ABSENT
            continue
        total += float(np.log(max(candidates.scores[index, level], _FLOOR)))
        if above >= 0:
            total -= float(_misplaced(apart[named[above], index], np.array(above), level))
            total -= float(passed[named[above] + 1 : index].sum())
        above = level
    return total


def _passed_over(candidates: Candidates) -> FloatArray:
    """What each candidate costs (N,) that lies between two named ones and has no name."""
    return np.asarray(np.minimum(-_ABSENT * candidates.scores.max(axis=1), -_ABSENT))


def _depths_apart(candidates: Candidates) -> FloatArray:
    """How far the centres of each two candidates lie apart (N, N), in the mean depth of their superior endplates."""
    depth = np.linalg.norm(candidates.corners[:, 0] - candidates.corners[:, 1], axis=1)
    apart = np.linalg.norm(candidates.centres[:, None] - candidates.centres, axis=-1)
    return np.asarray(apart / np.maximum((depth[:, None] + depth) / 2, 1e-6))


def _misplaced(apart: FloatArray, above: NDArray[np.intp], level: int) -> FloatArray:
    """Minus the log likelihood that the levels `above` and `level` lie so many depths apart."""
    steps = level - above
    expected = _NEXT_CENTRE * (steps - 1) + (_NEXT_CENTRE_S1 if level == VERTEBRAE - 1 else _NEXT_CENTRE)
    return np.asarray(np.minimum(0.5 * ((apart - expected) / (_NEXT_CENTRE_SD * steps)) ** 2, _MISPLACED_MOST))


def to_landmarks(candidates: Candidates, named: NDArray[np.intp]) -> SpineLandmarks:
    """The 22 landmarks of the named candidates, in their frame; no covariance; confidence is the score of the name."""
    points = np.full((COUNT + 2, 2), np.nan)
    confidence = np.zeros(COUNT + 2)
    for level, index in enumerate(named):
        if index >= 0:
            rows = slice(4 * level, 4 * level + 4)
            points[rows] = candidates.corners[index]
            scores = candidates.scores[index]
            confidence[rows] = scores[level] if len(scores) == VERTEBRAE else scores[0]
    return SpineLandmarks(points[:COUNT], np.full((COUNT, 2, 2), np.nan), confidence[:COUNT])
