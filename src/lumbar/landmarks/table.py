"""The 22 landmarks as a csv file, in the format of BUU-LSPINE (Klinwichit et al., Appl. Sci. 2023, 13, 8646).

No header, five columns: x and y of the anterior corner, x and y of the posterior one, in pixels of the film with y down, and
a slip label. The rows are L1 superior, L1 inferior, … L5 inferior, S1 superior: eleven.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lumbar.anatomy import LANDMARKS
from lumbar.geometry import FloatArray
from lumbar.whole_file import written_aside

ROWS = 11


def read_landmarks(path: Path) -> FloatArray:
    """The 22 landmarks (22, 2) in film pixels; missing rows are NaN from L1 down, rows beyond eleven are left out.

    A file with fewer than eleven rows lacks its upper vertebrae: its last row is always S1's.
    Raises ValueError naming the file, the line and what is wrong with it.
    """
    with path.open(newline="") as file:
        lines = [line for line in csv.reader(file) if any(cell.strip() for cell in line)]
    points = np.full((2 * ROWS, 2), np.nan)
    rows = lines[-ROWS:]
    first = len(lines) - len(rows) + 1
    for number, line in enumerate(rows):
        try:
            x0, y0, x1, y1 = (float(cell) for cell in line[:4])
        except ValueError:
            raise ValueError(
                f"{path.name}: row {first + number} must start with four numbers; got {line[:5]}"
            ) from None
        row = 2 * (ROWS - len(rows) + number)
        points[row : row + 2] = [[x0, y0], [x1, y1]]
    return points


def write_landmarks(path: Path, points_px: FloatArray, labels: Mapping[str, int] | None = None) -> None:
    """Write landmarks (22, 2) of a film that faces left; corners that are not on the film are nan.

    labels: slip labels by vertebra, 3 forwards and 4 backwards on the vertebra below; they stand in the row of its inferior
    endplate, and zero in all others.
    """
    rows = []
    for row, (a, p) in enumerate(zip(points_px[::2], points_px[1::2], strict=True)):
        vertebra, _ = LANDMARKS[2 * row]
        label = (labels or {}).get(vertebra, 0) if row % 2 else 0
        rows.append(f"{a[0]:.2f},{a[1]:.2f},{p[0]:.2f},{p[1]:.2f},{label}")
    with written_aside(path) as aside:
        aside.write_text("\n".join(rows) + "\n")
