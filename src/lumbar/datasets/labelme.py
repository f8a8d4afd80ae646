"""LabelMe: a JSON file beside each film, with a point for each corner, labelled like "L1_superior_anterior".

It holds no pixels. LabelMe measures from the film's upper left corner, which is half a pixel from the centre of the
first pixel. Figures are rounded to 0.0001 pixels.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from lumbar.datasets.annotation import NAMES, Annotation
from lumbar.geometry import FloatArray
from lumbar.whole_file import written_aside

_VERSION = "5.5.0"


def write_labelme(path: Path, annotation: Annotation) -> None:
    """Write the marked corners; `path` is to lie beside the film."""
    document: dict[str, Any] = {
        "version": _VERSION,
        "flags": {},
        "shapes": [
            {
                "label": name,
                "points": [[round(x + 0.5, 4), round(y + 0.5, 4)]],
                "group_id": None,
                "description": "",
                "shape_type": "point",
                "flags": {},
            }
            for name, (x, y), marked in zip(NAMES, annotation.points_px.tolist(), annotation.marked, strict=True)
            if marked
        ],
        "imagePath": PurePosixPath(annotation.film).name,
        "imageData": None,
        "imageHeight": annotation.height,
        "imageWidth": annotation.width,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        aside.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_labelme(path: Path, folder: Path) -> Annotation:
    """The corners in a LabelMe file within the data set `folder`; the film is taken to lie beside the file.

    Shapes that are no points are passed over. Raises ValueError naming the file where it is not JSON, lacks
    something, or a point has another label or the same twice.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        points = _points(document["shapes"])
        home = path.parent.relative_to(folder).as_posix()
        name = PureWindowsPath(document["imagePath"]).name  # takes slashes of both kinds
        return Annotation(
            name if home == "." else f"{home}/{name}", document["imageWidth"], document["imageHeight"], points
        )
    except KeyError as missing:
        raise ValueError(f"{path.name} is not a LabelMe file: it has no {missing}") from None
    except (TypeError, AttributeError, ValueError) as problem:
        raise ValueError(f"{path.name} is not a LabelMe file of lumbar corners: {problem}") from None


def _points(shapes: list[dict[str, Any]]) -> FloatArray:
    points = np.full((len(NAMES), 2), np.nan)
    for shape in shapes:
        if shape.get("shape_type", "polygon") != "point":
            continue
        label, ((x, y),) = shape["label"], shape["points"]
        if label not in NAMES:
            raise ValueError(f"a point must be labelled {NAMES[0]} … {NAMES[-1]}; got {label!r}")
        row = NAMES.index(label)
        if not np.isnan(points[row, 0]):
            raise ValueError(f"{label} must be marked once; it is marked twice")
        points[row] = x - 0.5, y - 0.5
    return points
