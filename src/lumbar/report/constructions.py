"""What is drawn of a reading: the lines of its bodies and displacements, in film pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumbar.anatomy import LANDMARK_INDEX, LEVELS, Corner, Vertebra, rows_of
from lumbar.geometry import FloatArray

BODY, ENDPLATE, WALL, DISPLACEMENT = "body", "endplate", "wall", "displacement"


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """From `start` to `end`, each (2,) in the frame of the points that were given; kind: `BODY`, `ENDPLATE`, `WALL` or `DISPLACEMENT`."""

    kind: str
    start: FloatArray
    end: FloatArray


def constructions(points: FloatArray) -> tuple[Line, ...]:
    """The lines of a spine (22, 2): walls and endplates of each body, then each displacement and the line that it is measured from.

    The posterior wall's line is drawn up beyond the disc, with the foot of the upper corner on it; at L5/S1 the displacement runs
    along the endplate. Lines to an absent corner are left out.
    """
    lines = [line for vertebra in Vertebra for line in _body(points[rows_of(vertebra)])]
    for level in LEVELS:
        lines += _displacement(points, level.upper, level.lower)
    return tuple(line for line in lines if not np.isnan([*line.start, *line.end]).any())


def _body(corners: FloatArray) -> list[Line]:
    sa, sp = corners[:2]
    if len(corners) == 2:
        return [Line(ENDPLATE, sa, sp)]
    ia, ip = corners[2:]
    return [Line(BODY, sa, ia), Line(BODY, sp, ip), Line(ENDPLATE, ia, ip), Line(ENDPLATE, sa, sp)]


def _displacement(points: FloatArray, upper: Vertebra, lower: Vertebra) -> list[Line]:
    moved = points[LANDMARK_INDEX[upper, Corner.INFERIOR_POSTERIOR]]
    sp = points[LANDMARK_INDEX[lower, Corner.SUPERIOR_POSTERIOR]]
    if lower is Vertebra.S1:
        along: FloatArray = points[LANDMARK_INDEX[lower, Corner.SUPERIOR_ANTERIOR]] - sp
        along = along / max(float(np.linalg.norm(along)), 1e-9)
        foot = sp + along * ((moved - sp) @ along)
        return [Line(DISPLACEMENT, sp, foot), Line(WALL, moved, foot)]
    wall = sp - points[LANDMARK_INDEX[lower, Corner.INFERIOR_POSTERIOR]]
    up = wall / max(float(np.linalg.norm(wall)), 1e-9)
    foot = sp + up * ((moved - sp) @ up)
    return [Line(WALL, sp, foot + up * 0.15 * np.linalg.norm(wall)), Line(DISPLACEMENT, moved, foot)]
