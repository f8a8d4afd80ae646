"""The 22 landmarks as a csv file, in the format of BUU-LSPINE (Klinwichit et al., Appl. Sci. 2023, 13, 8646).

No header, five columns: x and y of the anterior corner, x and y of the posterior one, in pixels of the film with y
down, and a slip label. The rows are L1 superior, L1 inferior, … L5 inferior, S1 superior: eleven. Blank rows and a
byte order mark are passed over, and rows that a spreadsheet wrote with semicolons and decimal commas are read.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lumbar.anatomy import LANDMARKS, Vertebra
from lumbar.geometry import FloatArray
from lumbar.whole_file import written_aside

ROWS = 11

SLIP_LABELS = {0: "none", 3: "anterolisthesis", 4: "retrolisthesis"}
"""The labels of lateral films (1 and 2 are sideways slips on frontal ones). They stand in the row of the inferior endplate
of the vertebra that slipped."""


def read_landmarks(path: Path) -> FloatArray:
    """The 22 landmarks (22, 2) in film pixels; missing rows are NaN from L1 down, rows beyond eleven are left out.

    A file with fewer than eleven rows lacks its upper vertebrae: its last row is always S1's. A corner that is
    "nan,nan" was not marked.
    Raises ValueError naming the file, the row (blank ones counted) and what is wrong with it.
    """
    rows = rows_in(path)[-ROWS:]
    points = np.full((2 * ROWS, 2), np.nan)
    for row, (number, cells) in enumerate(rows, ROWS - len(rows)):
        points[2 * row : 2 * row + 2] = _corners(path, number, cells)
    return points


def read_labels(path: Path) -> dict[Vertebra, int]:
    """The slip labels other than 0 by the vertebra that slipped on the one below, 3 forwards and 4 backwards.

    Raises ValueError naming the file and the row where a label is not one of `SLIP_LABELS`, or stands in the row of a
    superior endplate.
    """
    rows = rows_in(path)[-ROWS:]
    labels = {}
    for row, (number, cells) in enumerate(rows, ROWS - len(rows)):
        label = _label(path, number, cells[4] if len(cells) > 4 else "")
        vertebra, _ = LANDMARKS[2 * row]
        if label and row % 2 == 0:
            raise ValueError(
                f"{path.name}: row {number} is the superior endplate of {vertebra}, whose slip label must be 0; "
                f"got {label}; labels stand in the row of the upper vertebra's inferior endplate"
            )
        if label:
            labels[vertebra] = label
    return labels


def rows_in(path: Path) -> list[tuple[int, list[str]]]:
    """The rows that are not blank, with their numbers in the file from 1, as cells with decimal points.

    Raises ValueError naming the file where it is not text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        rows = [(number, _cells(line)) for number, line in enumerate(lines, 1)]
    except (UnicodeDecodeError, csv.Error):
        raise ValueError(f"{path.name} must be a text file with a row for each endplate; it is not text") from None
    return [(number, cells) for number, cells in rows if any(cells)]


def _cells(line: str) -> list[str]:
    if ";" in line:
        return [cell.strip().replace(",", ".") for cell in line.split(";")]
    return [cell.strip() for row in csv.reader([line]) for cell in row]


def _corners(path: Path, number: int, cells: list[str]) -> list[tuple[float, float]]:
    try:
        x0, y0, x1, y1 = (float(cell) for cell in cells[:4])
    except ValueError:
        raise ValueError(f"{path.name}: row {number} must start with four numbers; got {cells[:5]}") from None
    corners = [(x0, y0), (x1, y1)]
    for x, y in corners:
        if math.isinf(x) or math.isinf(y) or math.isnan(x) != math.isnan(y):
            raise ValueError(f"{path.name}: row {number} must hold finite points, or nan,nan; got {x:g},{y:g}")
    return corners


def _label(path: Path, number: int, cell: str) -> int:
    try:
        label = int(float(cell or "0"))
        if label not in SLIP_LABELS or label != float(cell or "0"):
            raise ValueError
    except (ValueError, OverflowError):
        allowed = ", ".join(f"{label} ({name})" for label, name in SLIP_LABELS.items())
        raise ValueError(f"{path.name}: row {number} must have a slip label of {allowed}; got {cell!r}") from None
    return label


def write_landmarks(path: Path, points_px: FloatArray, labels: Mapping[str, int] | None = None) -> None:
    """Write landmarks (22, 2) of a film that faces left; corners that are not on the film are nan.

    labels: slip labels by vertebra, 3 forwards and 4 backwards on the vertebra below; they stand in the row of its
    inferior endplate, and zero in all others.
    """
    rows = []
    for row, (a, p) in enumerate(zip(points_px[::2], points_px[1::2], strict=True)):
        vertebra, _ = LANDMARKS[2 * row]
        label = (labels or {}).get(vertebra, 0) if row % 2 else 0
        rows.append(f"{a[0]:.2f},{a[1]:.2f},{p[0]:.2f},{p[1]:.2f},{label}")
    with written_aside(path) as aside:
        aside.write_text("\n".join(rows) + "\n")
