"""What is drawn of a reading, in film pixels: one geometry for the overlay, the desk and the PACS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumbar.anatomy import LANDMARK_INDEX, LEVELS, Corner, Level, Vertebra, rows_of
from lumbar.geometry import FloatArray
from lumbar.reading import Reading

BODY, ENDPLATE = "body", "endplate"
"""The walls of a vertebra, and its endplates."""

WALL, DISPLACEMENT, ANGLE = "wall", "displacement", "angle"
"""The line that a level is measured from; the displacement from it; the two endplates whose angle is measured, drawn on."""

_BEYOND = 0.15
_DRAWN_ON = 0.35


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line at a `site`, a vertebra or a level such as "L4/L5", of one of the kinds above, from `start` to `end` (2,) in film pixels."""

    site: str
    kind: str
    start: FloatArray
    end: FloatArray


def outlines(reading: Reading) -> tuple[Line, ...]:
    """Walls and endplates of every vertebra, as far as their corners are there."""
    found = []
    for vertebra in Vertebra:
        sa, sp, *inferior = reading.landmarks.points_px[rows_of(vertebra)]
        lines = [(ENDPLATE, sa, sp)]
        if inferior:
            ia, ip = inferior
            lines = [(BODY, sa, ia), (BODY, sp, ip), (ENDPLATE, ia, ip), *lines]
        found += [Line(vertebra, *line) for line in lines if np.isfinite(line[1:]).all()]
    return tuple(found)


def constructions(reading: Reading) -> tuple[Line, ...]:
    """The lines of every level whose corners are there.

    The displacement ends at the foot of U.ip on L's posterior wall; at L5/S1, where S1 has no such wall, it is the part of the
    endplate's line that U.ip's foot cuts off. Feet are square in the patient, whatever shape the film's pixels have.
    """
    tall = 1.0 if reading.spacing is None else reading.spacing.row_mm / reading.spacing.column_mm
    stretch = np.array([1.0, tall])
    points = reading.landmarks.points_px * stretch
    found = []
    for level in LEVELS:
        for kind, start, end in (*_displacement(level, points), *_angle(level, points)):
            if np.isfinite([*start, *end]).all():
                found.append(Line(str(level), kind, start / stretch, end / stretch))
    return tuple(found)


Drawn = tuple[str, FloatArray, FloatArray]


def _displacement(level: Level, points: FloatArray) -> list[Drawn]:
    moved = points[LANDMARK_INDEX[level.upper, Corner.INFERIOR_POSTERIOR]]
    sp = points[LANDMARK_INDEX[level.lower, Corner.SUPERIOR_POSTERIOR]]
    if level.lower is Vertebra.S1:
        along, _ = _direction(points[LANDMARK_INDEX[level.lower, Corner.SUPERIOR_ANTERIOR]] - sp)
        foot = sp + along * ((moved - sp) @ along)
        return [(DISPLACEMENT, sp, foot), (WALL, moved, foot)]
    up, length = _direction(sp - points[LANDMARK_INDEX[level.lower, Corner.INFERIOR_POSTERIOR]])
    foot = sp + up * ((moved - sp) @ up)
    return [(WALL, sp, foot + up * _BEYOND * length), (DISPLACEMENT, moved, foot)]


def _angle(level: Level, points: FloatArray) -> list[Drawn]:
    lines = []
    for vertebra, half in ((level.upper, "inferior"), (level.lower, "superior")):
        anterior, posterior = (
            points[LANDMARK_INDEX[vertebra, Corner(f"{half}_{side}")]] for side in ("anterior", "posterior")
        )
        along, length = _direction(anterior - posterior)
        lines.append((ANGLE, posterior - along * _DRAWN_ON * length, anterior + along * _DRAWN_ON * length))
    return lines


def _direction(vector: FloatArray) -> tuple[FloatArray, float]:
    """The vector at length one, and its length; no direction where it has none."""
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / max(length, 1e-9)), length
