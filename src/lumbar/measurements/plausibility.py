"""Does this look like a spine, and as it is named? Doubts are reported beside the measurements; they never stop them.

The ranges are our own choice, in units of the mean superior endplate. In 45 annotated films of BUU-LSPINE (Klinwichit
et al. 2023), superior endplates measure 0.79 to 1.13, anterior heights 0.20 to 0.92 and posterior ones 0.47 to 0.93 of
the L3 endplate, discs open by -8 to 27 degrees and slips reach from -20 to +20 %; the ranges leave room beyond these
for a fracture and for a slip of Meyerding grade V. HEIGHT_RANGE is of a body's middle.
LARGEST_OVERLAP spares narrow discs, whose human points may cross a little (1 of the 45 films). RARE_ABOVE_S1: isthmic
slips, which go so far, are mostly of L5 on S1, and degenerative ones of L4 seldom pass 30 %; where S1 has a disc below it and
is named L5, L5/S1's slip is reported so. Of 18 real films with a slip five exceed it, two of them named so.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lumbar.anatomy import LEVELS, Level, Vertebra, rows_of
from lumbar.geometry import FloatArray, signed_angle_deg
from lumbar.landmarks.spine import AnatomicalSpine

DEPTH_RANGE = (0.65, 1.4)
HEIGHT_RANGE = (0.3, 1.3)
GAP_RANGE = (-0.15, 0.8)
SHIFT_RANGE = (-0.6, 1.3)
LARGEST_TURN_DEG = 45.0
LARGEST_OVERLAP = 0.1
RARE_ABOVE_S1 = 0.3


def implausibilities(spine: AnatomicalSpine) -> tuple[str, ...]:
    """Sentences about what no spine does, or few do: order, sizes against the mean endplate, crossings and turns of neighbours, far slips above L5/S1.

    Only vertebrae with all their corners are looked at.
    """
    bodies = {vertebra: spine.points[rows_of(vertebra)] for vertebra in Vertebra}
    found = {v: corners for v, corners in bodies.items() if not np.isnan(corners).any()}
    depths = [np.linalg.norm(corners[0] - corners[1]) for corners in found.values()]
    depth = float(np.mean(depths)) if depths else 0.0
    if depth == 0:
        return ("every superior endplate is a single point",) if found else ()
    doubts = _doubts_about_order(found)
    for vertebra, corners in found.items():
        doubts += _doubts_about_body(vertebra, corners / depth)
    for level in LEVELS:
        if level.upper in found and level.lower in found:
            doubts += _doubts_about_level(level, found[level.upper] / depth, found[level.lower] / depth)
    return tuple(doubts)


def _outside(value: float, allowed: tuple[float, float]) -> bool:
    return not allowed[0] <= value <= allowed[1]


def _doubts_about_order(found: dict[Vertebra, FloatArray]) -> list[str]:
    heights = {vertebra: float(corners[:, 1].mean()) for vertebra, corners in found.items()}
    return [
        f"{upper} does not lie above {lower}: the film may be turned, or the names wrong"
        for upper, lower in pairwise(heights)
        if heights[upper] <= heights[lower]
    ]


def _doubts_about_body(vertebra: Vertebra, corners: FloatArray) -> list[str]:
    """`corners` (4 or 2, 2) in mean depths."""
    doubts = []
    depth = float(np.linalg.norm(corners[0] - corners[1]))
    if _outside(depth, DEPTH_RANGE):
        doubts.append(f"{vertebra}: its superior endplate is {depth:.2f} of the mean one")
    if (corners[0::2, 0] <= corners[1::2, 0]).any():
        doubts.append(f"{vertebra}: an anterior corner does not lie in front of its posterior one")
    if len(corners) == 4:
        height = float(np.linalg.norm(corners[:2].mean(axis=0) - corners[2:].mean(axis=0)))
        if _outside(height, HEIGHT_RANGE):
            doubts.append(f"{vertebra}: its height is {height:.2f} of the mean superior endplate")
    return doubts


def _doubts_about_level(site: Level, upper: FloatArray, lower: FloatArray) -> list[str]:
    """`upper` (4, 2) and `lower` (4 or 2, 2) in mean depths."""
    doubts = []
    along = lower[0] - lower[1]
    length = float(np.linalg.norm(along))
    if length > 0:
        e = along / length
        n = np.array([-e[1], e[0]])
        gap = float((upper[2:].mean(axis=0) - lower[:2].mean(axis=0)) @ n)
        shift = float((upper[3] - lower[1]) @ e)
        if _outside(gap, GAP_RANGE):
            doubts.append(f"{site}: the disc space is {gap:.2f} of the mean superior endplate high")
        if _outside(shift, SHIFT_RANGE):
            doubts.append(f"{site}: the upper vertebra is displaced by {shift:.2f} of the mean superior endplate")
        elif shift > RARE_ABOVE_S1 and site.lower is not Vertebra.S1:
            doubts.append(
                f"{site}: a slip as far as {shift:.2f} of an endplate is far commoner at L5/S1: check the names"
            )
        overlap = -float(((upper[2:] - lower[1]) @ n).min())
        if overlap > LARGEST_OVERLAP and _cross(upper[2], upper[3], lower[0], lower[1]):
            doubts.append(f"{site}: the two endplates cross, by {overlap:.2f} of the mean superior endplate")
    turn = float(signed_angle_deg(along, upper[2] - upper[3]))
    if abs(turn) > LARGEST_TURN_DEG:
        doubts.append(f"{site}: neighbouring endplates meet at {turn:.0f} degrees")
    return doubts


def _cross(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> bool:
    """Whether the open segments a-b and c-d cross."""

    def left_of(p: FloatArray, q: FloatArray, r: FloatArray) -> float:
        return float((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    return left_of(a, b, c) * left_of(a, b, d) < 0 and left_of(c, d, a) * left_of(c, d, b) < 0
