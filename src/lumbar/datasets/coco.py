"""COCO keypoints: one JSON file for all films (cocodataset.org, "Data format", keypoint detection).

Keypoints are in film pixels with pixel centres at integers, as COCO's are; a box is measured from the film's upper left
corner, half a pixel further out. Figures are rounded to 0.0001 pixels. A corner is labelled and visible (2), or not
labelled (0).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lumbar.anatomy import Vertebra, rows_of
from lumbar.datasets.annotation import CLASS_NAME, NAMES, Annotation
from lumbar.geometry import FloatArray
from lumbar.whole_file import written_aside


def skeleton() -> list[list[int]]:
    """The outlines of the bodies as pairs of keypoint numbers from 1, as COCO counts."""
    edges = []
    for vertebra in Vertebra:
        first = rows_of(vertebra).start + 1
        edges += [[first, first + 1]]
        if vertebra is not Vertebra.S1:
            edges += [[first + 1, first + 3], [first + 3, first + 2], [first + 2, first]]
    return edges


def write_coco(path: Path, annotations: Sequence[Annotation]) -> None:
    """Write all films and, of those with a corner marked, one annotation each."""
    document = {
        "info": {"description": "Lumbar corners of lateral films that face left"},
        "images": [
            {"id": number, "file_name": a.film, "width": a.width, "height": a.height}
            for number, a in enumerate(annotations, 1)
        ],
        "annotations": [_entry(number, a) for number, a in enumerate(annotations, 1) if a.marked.any()],
        "categories": [
            {"id": 1, "name": CLASS_NAME, "supercategory": "spine", "keypoints": list(NAMES), "skeleton": skeleton()}
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        aside.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")


def read_coco(path: Path) -> tuple[Annotation, ...]:
    """The films of a COCO file, those without an annotation too. Keypoints go by their names.

    Raises ValueError naming the file where it is not JSON, lacks something, has other keypoints, or two spines on one
    film.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        categories = {c["id"]: _order(c["keypoints"]) for c in document["categories"] if "keypoints" in c}
        points: dict[Any, FloatArray] = {}
        for entry in document["annotations"]:
            if entry["category_id"] not in categories:
                continue
            if entry["image_id"] in points:
                raise ValueError(f"image {entry['image_id']} has two annotations; a film has one lumbar spine")
            points[entry["image_id"]] = _points(entry["keypoints"], categories[entry["category_id"]])
        nothing = np.full((len(NAMES), 2), np.nan)
        return tuple(
            Annotation(image["file_name"], image["width"], image["height"], points.get(image["id"], nothing))
            for image in document["images"]
        )
    except KeyError as missing:
        raise ValueError(f"{path.name} is not a COCO file of lumbar corners: it has no {missing}") from None
    except (TypeError, AttributeError, ValueError) as problem:
        raise ValueError(f"{path.name} is not a COCO file of lumbar corners: {problem}") from None


def _entry(number: int, annotation: Annotation) -> Mapping[str, Any]:
    assert annotation.box is not None
    x0, y0, x1, y1 = annotation.box
    keypoints: list[float] = []
    for (x, y), marked in zip(annotation.points_px.tolist(), annotation.marked, strict=True):
        keypoints += [round(x, 4), round(y, 4), 2] if marked else [0, 0, 0]
    return {
        "id": number,
        "image_id": number,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [round(v, 4) for v in (x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0)],
        "area": round((x1 - x0) * (y1 - y0), 4),
        "num_keypoints": int(annotation.marked.sum()),
        "keypoints": keypoints,
    }


def _order(names: Sequence[str]) -> list[int]:
    """Where each of `NAMES` stands in `names`."""
    if sorted(names) != sorted(NAMES):
        raise ValueError(
            f"keypoints must be named {NAMES[0]} … {NAMES[-1]}, {len(NAMES)} in all; got {list(names)[:3]} …"
        )
    return [list(names).index(name) for name in NAMES]


def _points(keypoints: Sequence[float], order: Sequence[int]) -> FloatArray:
    triples = np.array(keypoints, dtype=np.float64)
    if triples.shape != (3 * len(NAMES),):
        raise ValueError(f"an annotation must have {3 * len(NAMES)} figures as keypoints; got {triples.size}")
    triples = triples.reshape(-1, 3)[list(order)]
    return np.where(triples[:, 2:] > 0, triples[:, :2], np.nan)
