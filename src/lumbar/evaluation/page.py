"""An evaluation as one HTML page: its tables, and the films that were read worst."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from lumbar.evaluation.read_case import ReadCase, Unit
from lumbar.evaluation.result import Evaluation
from lumbar.evaluation.tables import tables_of
from lumbar.reading import NOTICE

TRUE, FOUND = (0, 200, 120), (255, 80, 60)
WORST = 12
_TALLEST = 700


@dataclass(frozen=True, slots=True)
class Picture:
    """A film of the gallery: its name, its mean error in endplate depths, and how it is shown."""

    film: str
    error: float
    shifted: bool
    missed: int
    url: str


def worst_first(cases: Sequence[ReadCase], most: int = WORST) -> list[ReadCase]:
    """The films with the largest mean error."""

    def error(case: ReadCase) -> float:
        errors = case.radial_errors(Unit.DEPTH)
        assert errors is not None
        return float(np.nanmean(errors))

    return sorted(cases, key=error, reverse=True)[:most]


def evaluation_page(
    found: Evaluation, cases: Sequence[ReadCase], pixels: Callable[[ReadCase], NDArray[np.float32]]
) -> str:
    """The page. pixels: the film (H, W) in [0, 1] of a case; asked for those in the gallery only."""
    errors = {line.film: line for line in found.lines}
    gallery = [
        Picture(
            case.film, errors[case.film].error, case.shifted, int(case.missed.sum()), _as_url(draw(case, pixels(case)))
        )
        for case in worst_first(cases)
    ]
    here = ChoiceLoader([PackageLoader("lumbar", "evaluation"), PackageLoader("lumbar", "report")])
    template = Environment(loader=here, autoescape=True, undefined=StrictUndefined).get_template("evaluation.html")
    return template.render(found=found, tables=tables_of(found), gallery=gallery, notice=NOTICE)


def draw(case: ReadCase, pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The film in grey with true corners as green circles, found ones as red crosses, and lines between them: RGB (H, W, 3)."""
    scale = min(1.0, _TALLEST / case.height)
    aspect = 1.0 if case.spacing is None else case.spacing.row_mm / case.spacing.column_mm
    size = (round(case.width * scale), round(case.height * scale * aspect))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    image = np.repeat(np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
    to_picture = np.array([size[0] / case.width, size[1] / case.height])
    for true, found in zip((case.truth_px + 0.5) * to_picture, (case.found_px + 0.5) * to_picture, strict=True):
        if np.isfinite(true).all():
            cv2.circle(image, _pixel(true), 4, TRUE, 1, cv2.LINE_AA)
        if np.isfinite(found).all():
            cv2.drawMarker(image, _pixel(found), FOUND, cv2.MARKER_TILTED_CROSS, 7, 1, cv2.LINE_AA)
            if np.isfinite(true).all():
                cv2.line(image, _pixel(true), _pixel(found), FOUND, 1, cv2.LINE_AA)
    return image


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _as_url(picture: NDArray[np.uint8]) -> str:
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
