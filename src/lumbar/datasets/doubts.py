"""What is doubtful about one film's corners, in words: of a film that faces left, as BUU-LSPINE's do.

Where `measurements.plausibility` asks whether a reader's result looks like a spine, this asks whether a table was
filled in as the format says.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import LANDMARKS, Vertebra, rows_of
from lumbar.geometry import FloatArray
from lumbar.landmarks.table import ROWS, rows_in
from lumbar.radiograph import PixelSpacing

ENDPLATE_MM = (18.0, 65.0)
"""Plausible means of a film's endplate depths. Our own choice: adults' measure 30 to 40 mm, children's less, and a
film magnifies them by up to 1.4."""


def doubts_about_rows(table: Path) -> list[str]:
    """Whether there are eleven rows. Raises ValueError where the file is not text."""
    count = len(rows_in(table))
    if count == 0:
        return ["no rows"]
    if count < ROWS:
        return [f"{count} rows instead of {ROWS}; the last is taken for S1's and the upper ones for missing"]
    if count > ROWS:
        return [f"{count} rows instead of {ROWS}; the first {count - ROWS} are left out"]
    return []


def doubts_about_points(points: FloatArray, size: tuple[int, int] | None) -> list[str]:
    """About corners (22, 2) in pixels of a film of `size` (width, height), None where the film could not be opened."""
    doubts = []
    if missing := _vertebrae_where(np.asarray(np.isnan(points[:, 0]))):
        doubts.append(f"not marked, or in part: {missing}")
    if size is not None:
        outside = (points < -0.5) | (points > np.array(size) - 0.5)  # NaN is neither
        if named := _vertebrae_where(outside[:, 0] | outside[:, 1]):
            doubts.append(f"points outside the film of {size[0]} x {size[1]} pixels: {named}")
    return doubts + _doubts_about_facing(points) + _doubts_about_order(points)


def doubts_about_spacing(points: FloatArray, spacing: PixelSpacing) -> list[str]:
    """Whether the endplates (22, 2) in film pixels have a vertebra's size by this spacing."""
    across = (points[::2] - points[1::2]) * [spacing.column_mm, spacing.row_mm]
    if np.isnan(across).all():
        return []
    depth = float(np.nanmean(np.linalg.norm(across, axis=1)))
    if ENDPLATE_MM[0] <= depth <= ENDPLATE_MM[1]:
        return []
    return [
        f"implausible pixel spacing of {spacing.row_mm:g} mm ({spacing.source}): endplates would be {depth:.0f} mm "
        f"deep on average, and {ENDPLATE_MM[0]:g} to {ENDPLATE_MM[1]:g} are plausible"
    ]


def _doubts_about_facing(points: FloatArray) -> list[str]:
    turned = points[::2, 0] >= points[1::2, 0]
    marked = int((~np.isnan(points[::2, 0] + points[1::2, 0])).sum())
    if turned.sum() * 2 > marked:
        return [
            f"the anterior points lie right of the posterior ones in {turned.sum()} of {marked} rows: the film does "
            "not face left, or the columns are swapped; mirror film and points, or swap columns 1-2 with 3-4"
        ]
    rows = np.flatnonzero(turned).tolist()
    return [f"the anterior point lies right of the posterior one in {_endplate(row)}" for row in rows]


def _doubts_about_order(points: FloatArray) -> list[str]:
    bodies = {vertebra: points[rows_of(vertebra), 1] for vertebra in Vertebra}
    depths = {vertebra: float(y.mean()) for vertebra, y in bodies.items() if not np.isnan(y).any()}
    doubts = [f"{lower} lies above {upper}" for upper, lower in pairwise(depths) if depths[lower] <= depths[upper]]
    return doubts + [
        f"the superior endplate of {vertebra} lies below its inferior one"
        for vertebra, y in bodies.items()
        if len(y) == 4 and y[:2].mean() >= y[2:].mean()  # false for NaN
    ]


def _endplate(row: int) -> str:
    vertebra, corner = LANDMARKS[2 * row]
    return f"the {corner.split('_')[0]} endplate of {vertebra}"


def _vertebrae_where(rows: NDArray[np.bool_]) -> str:
    """Names of the vertebrae with a true one among their `rows` (22,)."""
    return ", ".join(vertebra for vertebra in Vertebra if rows[rows_of(vertebra)].any())
