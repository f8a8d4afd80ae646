"""YOLO's text files: for each film a line "class cx cy w h", the lumbosacral box; in pose files the corners follow.

All figures are shares of the film's width and height, measured from its upper left corner, which is half a pixel from
the centre of the first pixel. Eight decimals: 0.0001 pixels on a film of 10,000. The one class is 0; the films face
left.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lumbar.datasets.annotation import CLASS_NAME, NAMES, Annotation
from lumbar.geometry import FloatArray
from lumbar.whole_file import written_aside

Box = tuple[float, float, float, float]


def write_yolo_box(path: Path, annotation: Annotation) -> None:
    """Write the box around the corners; an empty file, which means no spine, where none is marked."""
    _write(path, _box_cells(annotation))


def read_yolo_box(path: Path, width: int, height: int) -> Box | None:
    """The box (x0, y0, x1, y1) in pixels of a film of this size; None where the file is empty.

    Raises ValueError naming the file where it holds something else than one box.
    """
    cells = _cells(path, 5)
    return None if cells is None else _box(cells, width, height)


def write_yolo_pose(path: Path, annotation: Annotation) -> None:
    """Write the box and the corners, "x y 2" for each, "0 0 0" where not marked; an empty file where none is."""
    cells = _box_cells(annotation)
    shares = (annotation.points_px + 0.5) / [annotation.width, annotation.height]
    for (x, y), marked in zip(shares, annotation.marked, strict=True):
        cells += [f"{x:.8f}", f"{y:.8f}", "2"] if marked else ["0", "0", "0"]
    _write(path, cells if annotation.marked.any() else [])


def read_yolo_pose(path: Path, width: int, height: int) -> FloatArray:
    """The corners (22, 2) in pixels of a film of this size, NaN where not marked.

    Raises ValueError naming the file where it holds something else than one box with 22 keypoints.
    """
    cells = _cells(path, 5 + 3 * len(NAMES))
    if cells is None:
        return np.full((len(NAMES), 2), np.nan)
    triples = cells[5:].reshape(-1, 3)
    return np.where(triples[:, 2:] > 0, triples[:, :2] * [width, height] - 0.5, np.nan)


def data_yaml() -> str:
    """What YOLO's trainers want to be told of pose files. A corner keeps its name when a film is mirrored."""
    return (
        "# paths of your films; labels are looked for in labels/ beside images/\n"
        "path: .\ntrain: images\nval: images\n"
        f"kpt_shape: [{len(NAMES)}, 3]\n"
        f"flip_idx: {list(range(len(NAMES)))}\n"
        f"names:\n  0: {CLASS_NAME}\n"
    )


def _box_cells(annotation: Annotation) -> list[str]:
    if annotation.box is None:
        return []
    x0, y0, x1, y1 = annotation.box
    shares = np.array([(x0 + x1 + 1) / 2, (y0 + y1 + 1) / 2, x1 - x0, y1 - y0])
    shares /= [annotation.width, annotation.height] * 2
    return ["0", *(f"{share:.8f}" for share in shares)]


def _box(cells: FloatArray, width: int, height: int) -> Box:
    cx, cy, w, h = cells[1:5] * [width, height, width, height]
    return float(cx - w / 2 - 0.5), float(cy - h / 2 - 0.5), float(cx + w / 2 - 0.5), float(cy + h / 2 - 0.5)


def _write(path: Path, cells: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        aside.write_text(" ".join(cells) + "\n" if cells else "", encoding="utf-8")


def _cells(path: Path, count: int) -> FloatArray | None:
    """The one line's figures, at least five of which are the box; None where there is no line."""
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        rows = [np.array([float(cell) for cell in line]) for line in lines]
    except ValueError:
        raise ValueError(f"{path.name} must hold figures between blanks; it holds something else") from None
    if not rows:
        return None
    if len(rows) > 1 or len(rows[0]) != count or not np.isfinite(rows[0]).all():
        found = f"{len(rows)} lines, the first of {len(rows[0])}"
        raise ValueError(f"{path.name} must hold one line of {count} finite figures; it holds {found}")
    return rows[0]
