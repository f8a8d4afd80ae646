"""What a person may change of a reading, and the reading that comes of it. Measuring is `Reading.remeasured`, as everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lumbar.anatomy import LANDMARKS, Posture, Vertebra, rows_of
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.spine import COUNT, endplate_depth
from lumbar.radiograph import PixelSpacing
from lumbar.reading import Reading

HUMAN_DEVIATION = 0.023
"""Error of each coordinate of a corner that a person placed, in endplates. Two observers err by 2.6 degrees in an angle between
endplates (Eur J Radiol 1994;18:227), and four corners that err by 0.023 give that; they give 1.2 mm of translation, where the two
observers err by 1.4. To take it for every corner and every reader is our own choice."""

GIVEN = "given at the desk"

CORNERS = tuple(f"{vertebra}_{corner}" for vertebra, corner in LANDMARKS)
"""L1_superior_anterior … S1_superior_posterior, as in the files of annotations."""

CornerName = Annotated[
    str, StringConstraints(pattern=r"^(L[1-5]_(superior|inferior)|S1_superior)_(anterior|posterior)$", max_length=24)
]
_Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Point = tuple[_Coordinate, _Coordinate]
Version = Annotated[int, Field(ge=1, le=1_000_000_000)]


class _Action(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Move(_Action):
    """Corners to other places, in film pixels; null where one is not on the film."""

    action: Literal["move"]
    corners: Annotated[dict[CornerName, Point | None], Field(min_length=1, max_length=COUNT)]


class Shift(_Action):
    """Every vertebra takes the name of its upper or lower neighbour; what has no name left is dropped."""

    action: Literal["shift"]
    direction: Literal["up", "down"]


class Restore(_Action):
    """Back to the corners of an earlier version."""

    action: Literal["restore"]
    version: Version


class Turn(_Action):
    """The patient faces the other way: anterior and posterior corners change names."""

    action: Literal["turn"]


class SayPosture(_Action):
    """What the posture is; null takes back what was said."""

    action: Literal["posture"]
    posture: Posture | None


class SaySpacing(_Action):
    """The pixel spacing at the patient, in mm."""

    action: Literal["spacing"]
    row_mm: Annotated[float, Field(gt=0, lt=100, allow_inf_nan=False)]
    column_mm: Annotated[float, Field(gt=0, lt=100, allow_inf_nan=False)]


Action = Annotated[Move | Shift | Restore | Turn | SayPosture | SaySpacing, Field(discriminator="action")]


@dataclass(frozen=True, slots=True)
class Corrected:
    """The reading after a correction, the posture that somebody said (else None), and what was done, in words."""

    reading: Reading
    posture: str | None
    what: str


def correct(
    base: Reading, posture: str | None, action: Action, earlier: Callable[[int], tuple[Reading, str | None]]
) -> Corrected:
    """Do `action` to the version `base`, of which `posture` was said.

    earlier: the reading and said posture of an earlier version. Raises ValueError where a corner would leave the film, and KeyError
    where there is no such earlier version.
    """
    landmarks = base.landmarks
    match action:
        case Move():
            return Corrected(base.remeasured(_moved(base, action)), posture, _moves_in_words(action))
        case Shift():
            return Corrected(
                base.remeasured(_shifted(landmarks, action.direction)), posture, f"names shifted {action.direction}"
            )
        case Restore():
            old, said = earlier(action.version)
            restored = base.remeasured(old.landmarks, anterior=old.anterior, spacing=old.spacing)
            return Corrected(restored, said, f"back to version {action.version}")
        case Turn():
            turned = _taken(landmarks, [row ^ 1 for row in range(COUNT)])
            return Corrected(
                base.remeasured(turned, anterior=base.anterior.opposite), posture, f"facing {base.anterior.opposite}"
            )
        case SayPosture():
            return Corrected(base, action.posture, f"posture: {action.posture or 'as the film says'}")
        case SaySpacing():
            spacing = PixelSpacing(action.row_mm, action.column_mm, GIVEN, "patient")
            what = f"pixel spacing {action.row_mm:g} x {action.column_mm:g} mm"
            return Corrected(base.remeasured(landmarks, spacing=spacing), posture, what)


def _moved(base: Reading, action: Move) -> SpineLandmarks:
    points, covariance, confidence = (
        np.array(getattr(base.landmarks, of)) for of in ("points_px", "covariance_px", "confidence")
    )
    placed = []
    for name, point in action.corners.items():
        row = CORNERS.index(name)
        covariance[row], confidence[row] = np.nan, 0.0
        points[row] = np.nan if point is None else point
        if point is not None:
            x, y = point
            if not (-0.5 <= x <= base.width - 0.5 and -0.5 <= y <= base.height - 0.5):
                raise ValueError(
                    f"{name} must lie on the film of {base.width} x {base.height} pixels; got {x:g}, {y:g}"
                )
            placed.append(row)
            confidence[row] = 1.0
    moved = SpineLandmarks(points, covariance, confidence)
    # Those that a person placed before the first endplate was whole, and so had no error yet, get theirs now.
    placed += [row for row in range(COUNT) if confidence[row] == 1.0 and np.isnan(covariance[row]).any()]
    spacing = base.spacing or PixelSpacing(1.0, 1.0, "columns", "unknown")
    deviation = HUMAN_DEVIATION * endplate_depth(moved.to_anatomical(base.anterior, spacing).points)
    covariance[placed] = np.diag([(deviation / spacing.column_mm) ** 2, (deviation / spacing.row_mm) ** 2])
    return SpineLandmarks(points, covariance, confidence)


def _shifted(landmarks: SpineLandmarks, direction: str) -> SpineLandmarks:
    """Up: L2 becomes L1 … and S1 becomes L5, with two corners. Down: L1 becomes L2 … and L5 becomes S1, with two corners left."""
    step = 1 if direction == "up" else -1
    order, source = list(Vertebra), []
    for i, vertebra in enumerate(order):
        rows = range(COUNT)[rows_of(vertebra)]
        old = order[i + step] if 0 <= i + step < len(order) else None
        there = list(range(COUNT)[rows_of(old)]) if old is not None else []
        source += [there[k] if k < len(there) else -1 for k in range(len(rows))]
    return _taken(landmarks, source)


def _taken(landmarks: SpineLandmarks, source: list[int]) -> SpineLandmarks:
    """Each corner from the row `source` names for it; -1: absent."""
    rows = np.array(source)
    none = rows < 0
    points, covariance, confidence = (
        np.array(getattr(landmarks, of)[rows]) for of in ("points_px", "covariance_px", "confidence")
    )
    points[none], covariance[none], confidence[none] = np.nan, np.nan, 0.0
    return SpineLandmarks(points, covariance, confidence)


def _moves_in_words(action: Move) -> str:
    """Such as "L4 superior anterior moved" or "L1 absent"."""
    absent = [name for name, point in action.corners.items() if point is None]
    moved = [name for name, point in action.corners.items() if point is not None]
    parts = []
    for vertebra in Vertebra:
        gone = [name for name in absent if name.startswith(vertebra)]
        if gone:
            whole = len(gone) == len(range(COUNT)[rows_of(vertebra)])
            parts.append(f"{vertebra} absent" if whole else f"{', '.join(map(_in_words, gone))} absent")
    if moved:
        parts.append(
            f"{', '.join(map(_in_words, moved[:2]))}{f' and {len(moved) - 2} more' if len(moved) > 2 else ''} moved"
        )
    return "; ".join(parts)


def _in_words(name: str) -> str:
    return re.sub("_", " ", name)
