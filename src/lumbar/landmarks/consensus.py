"""Several looks at one spine, each through its own window, brought together: one set of candidates with a spread.

Which body is called L1 flips with the window; corners jitter with it. Scores of the same body are averaged over the windows
that show it, and its corners are the median of what those windows say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import Vertebra
from lumbar.geometry import FloatArray
from lumbar.landmarks.decoding import NO_CANDIDATES, Candidates, downwards, name_by_level
from lumbar.landmarks.spine import COUNT, SpineLandmarks
from lumbar.windows import Window

SAME_BODY = 0.4
"""Two centres closer than this share of a body's depth are one body."""


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """How far a corner is off, from how far the looks leave it open.

    spread_share: by how much the covariance that the looks give is to be multiplied.
    least_deviation: what all looks get wrong together, as a share of the mean depth of the named bodies.
    wider: by what factor a vertebra's errors are larger than that; 1 for one that is not in it.
    """

    spread_share: float
    least_deviation: float
    wider: Mapping[Vertebra, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = (self.spread_share, self.least_deviation, *self.wider.values())
        if not all(part >= 0 for part in parts):  # false for NaN, too
            raise ValueError(
                f"spread_share, least_deviation and all of wider must not be negative; "
                f"got {self.spread_share}, {self.least_deviation}, {dict(self.wider)}"
            )

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes this model of again."""
        wider = {vertebra.value: factor for vertebra, factor in self.wider.items()}
        return {"spread_share": self.spread_share, "least_deviation": self.least_deviation, "wider": wider}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> ErrorModel:
        """Back from `to_json`. Raises ValueError or KeyError where it is none."""
        wider = {Vertebra(name): float(factor) for name, factor in entry["wider"].items()}
        return cls(float(entry["spread_share"]), float(entry["least_deviation"]), wider)

    def covariance(self, left_open: FloatArray, depth: float) -> FloatArray:
        """Covariance (..., 2, 2) of a corner's error, in the squared unit of `depth`.

        >>> ErrorModel(0.5, 0.03).covariance(np.diag([8.0, 2.0]), 100.0).tolist()  # 0.5 * 8 + (0.03 * 100)^2, 0.5 * 2 + 9
        [[13.0, 0.0], [0.0, 10.0]]
        """
        return np.asarray(self.spread_share * left_open + (self.least_deviation * depth) ** 2 * np.eye(2))

    def covariance_of(self, vertebra: Vertebra, left_open: FloatArray, depth: float) -> FloatArray:
        """Covariance (..., 2, 2) of the errors of this vertebra's corners."""
        return np.asarray(self.wider.get(vertebra, 1.0) ** 2 * self.covariance(left_open, depth))


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """Candidates that the looks agree on, and how far they leave each corner open: covariance (N, 4, 2, 2), NaN where unknown."""

    candidates: Candidates
    covariance: FloatArray


def agree(looks: Sequence[tuple[Candidates, Window]]) -> Consensus:
    """Bring together candidates found through several windows (x0, y0, x1, y1), all in one frame."""
    centres = np.concatenate([found.centres for found, _ in looks])
    if len(centres) == 0:
        return Consensus(NO_CANDIDATES, np.zeros((0, 4, 2, 2)))
    corners = np.concatenate([found.corners for found, _ in looks])
    scores = np.concatenate([found.scores for found, _ in looks])
    look = np.concatenate([np.full(len(found), i) for i, (found, _) in enumerate(looks)])
    depth = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=-1)
    best = scores.max(axis=1)
    free = np.ones(len(centres), dtype=bool)
    bodies = []
    for i in np.argsort(-best):
        if not free[i]:
            continue
        near = free & (np.linalg.norm(centres - centres[i], axis=1) < SAME_BODY * depth[i])
        near[i] = True
        free &= ~near
        members = np.nonzero(near)[0]
        seen_by = sum(_inside(centres[i], window) for _, window in looks)
        strongest = {w: members[look[members] == w] for w in np.unique(look[members])}
        one_each = np.array([rows[np.argmax(best[rows])] for rows in strongest.values()])
        bodies.append(
            (
                np.median(centres[one_each], axis=0),
                np.median(corners[one_each], axis=0),
                scores[one_each].sum(axis=0) / max(seen_by, len(one_each)),
                corners[one_each].var(axis=0, ddof=1) if len(one_each) > 1 else np.full((4, 2), np.nan),
            )
        )
    middle, outline, score, variance = (np.array(part) for part in zip(*bodies, strict=True))
    order = downwards(outline)
    found = Candidates(middle[order], outline[order], score[order])
    return Consensus(found, variance[order][..., None] * np.eye(2))


def _inside(point: FloatArray, window: Window) -> bool:
    x0, y0, x1, y1 = window
    return bool(x0 <= point[0] <= x1 and y0 <= point[1] <= y1)


def named_landmarks(consensus: Consensus, errors: ErrorModel, named: NDArray[np.intp] | None = None) -> SpineLandmarks:
    """The 22 landmarks in the frame of the consensus, with names chosen over the chain, or as `named` has them.

    named (6,): index of each level's candidate, -1 where there is none. The covariance of a corner is what `errors` makes of
    that of the consensus.
    """
    found = consensus.candidates
    named = name_by_level(found) if named is None else named
    points = np.full((COUNT + 2, 2), np.nan)
    covariance = np.full((COUNT + 2, 2, 2), np.nan)
    confidence = np.zeros(COUNT + 2)
    present = named[named >= 0]
    if len(present) == 0:
        return SpineLandmarks(points[:COUNT], covariance[:COUNT], confidence[:COUNT])
    depth = float(np.mean(np.linalg.norm(found.corners[present, 0] - found.corners[present, 1], axis=-1)))
    for level, (vertebra, index) in enumerate(zip(Vertebra, named, strict=True)):
        if index < 0:
            continue
        rows = slice(4 * level, 4 * level + 4)
        points[rows] = found.corners[index]
        covariance[rows] = errors.covariance_of(vertebra, consensus.covariance[index], depth)
        confidence[rows] = min(1.0, float(found.scores[index, level]))
    return SpineLandmarks(points[:COUNT], covariance[:COUNT], confidence[:COUNT])
