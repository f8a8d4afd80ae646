"""Readings and studies as HTML pages that need no other file and call no other host."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import cache

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from numpy.typing import NDArray

from lumbar.anatomy import LEVELS, Posture, Vertebra
from lumbar.assessment import COUNTER_EVIDENCE, CRITERIA
from lumbar.measurements import (
    BODY_QUANTITIES,
    DISC_QUANTITIES,
    LORDOSIS,
    QUANTITIES,
    SACRAL_SLOPE,
    Measurement,
    Quantity,
    Unmeasurable,
    genant_grade,
)
from lumbar.reading import NOTICE, Reading
from lumbar.report.words import figure, grade_in_words, percent
from lumbar.study import StudyAssessment

_HEADINGS = {
    "sagittal_displacement_wall": "sagittal displacement (wall)",
    "sagittal_displacement_endplate": "sagittal displacement (endplate)",
    "slip": "slip",
    "intervertebral_angle": "intervertebral angle",
}

_WHOLE = ((LORDOSIS, "L1-S1"), (SACRAL_SLOPE, "S1"))
_EVERY = (*QUANTITIES, *DISC_QUANTITIES, *BODY_QUANTITIES, LORDOSIS, SACRAL_SLOPE)


def reading_page(reading: Reading, overlay: NDArray[np.uint8]) -> str:
    """One film: its overlay (H, W, 3) RGB, the table of measurements with their errors, reasons, doubts and provenance."""
    return _template("reading.html").render(
        reading=reading,
        picture=_as_data_url(overlay),
        notice=NOTICE,
        headings=[_HEADINGS[quantity.name] for quantity in QUANTITIES],
        methods={_heading(quantity.name): quantity.method for quantity in _EVERY},
        rows=[_row(reading, site) for site in map(str, LEVELS)],
        further=[
            _further("discs", DISC_QUANTITIES, [str(level) for level in LEVELS], reading),
            _further("bodies", BODY_QUANTITIES, [str(v) for v in Vertebra if v is not Vertebra.S1], reading),
        ],
        whole=[(_heading(q.name), figure(reading.measured(q.name, site))) for q, site in _WHOLE],
        wedged=_wedged(reading),
        reasons=sorted({e.reason for e in reading.measurements if isinstance(e, Unmeasurable)}),
        spacing="unknown" if reading.spacing is None else _spacing_in_words(reading),
    )


def study_page(study: StudyAssessment, overlays: Mapping[Posture, NDArray[np.uint8]]) -> str:
    """A study: the films side by side, and the motion, slip and verdict of each level."""
    rows = [
        {
            "site": level.site,
            "translation": figure(level.change.translation),
            "angulation": figure(level.change.angulation),
            "slip_change": figure(level.change.slip),
            "by_criteria": [(s.verdict, percent(s.probability), s.reason or "") for s in level.stability],
            "slip": figure(level.slip),
            "slip_film": level.slip_film,
            "grade": "–" if level.grade is None else grade_in_words(level.grade),
            "verdict": level.verdict.verdict,
            "probability": percent(level.verdict.probability),
            "reason": level.verdict.reason or "",
        }
        for level in study.levels
    ]
    pictures = [
        (posture, study.films[posture], _as_data_url(overlays[posture])) for posture in Posture if posture in overlays
    ]
    criteria = [study.criteria, *(entry for entry in CRITERIA.values() if entry.name != study.criteria.name)]
    return _template("study.html").render(
        study=study, rows=rows, pictures=pictures, notice=NOTICE, criteria=criteria, counter_evidence=COUNTER_EVIDENCE
    )


def _heading(name: str) -> str:
    return _HEADINGS.get(name, name.replace("_", " "))


def _further(name: str, quantities: Sequence[Quantity], sites: Sequence[str], reading: Reading) -> dict[str, object]:
    rows = [
        (site, [figure(reading.measured(q.name, site), signed=q.unit == "deg") for q in quantities]) for site in sites
    ]
    return {"name": name, "headings": [_heading(q.name) for q in quantities], "rows": rows}


def _wedged(reading: Reading) -> list[str]:
    """Bodies that lost a fifth of their height in front or behind, in words."""
    found = []
    for vertebra in Vertebra:
        ratio = None if vertebra is Vertebra.S1 else reading.measured("height_ratio", str(vertebra))
        if isinstance(ratio, Measurement) and (grade := genant_grade(ratio.value)):
            found.append(
                f"{vertebra}: {('mild', 'moderate', 'severe')[grade - 1]} (anterior height {ratio.value:.0f} % of the posterior)"
            )
    return found


def _row(reading: Reading, site: str) -> dict[str, object]:
    found = [reading.measured(quantity.name, site) for quantity in QUANTITIES]
    grades = [grade for grade in reading.grades if grade.site == site]
    return {
        "site": site,
        "figures": [(figure(m), "" if isinstance(m, Measurement) else m.reason) for m in found],
        "grade": grade_in_words(grades[0]) if grades else "–",
        "slipped": bool(grades and grades[0].grade > 0),
    }


def _spacing_in_words(reading: Reading) -> str:
    spacing = reading.spacing
    assert spacing is not None
    size = (
        f"{spacing.row_mm:.4g} mm"
        if spacing.row_mm == spacing.column_mm
        else f"{spacing.row_mm:.4g} x {spacing.column_mm:.4g} mm"
    )
    return f"{size}, from {spacing.source}, in the {spacing.plane} plane"


def _as_data_url(picture: NDArray[np.uint8]) -> str:
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")


@cache
def _template(name: str) -> Template:
    pages = Environment(loader=PackageLoader("lumbar", "report"), autoescape=True, undefined=StrictUndefined)
    return pages.get_template(name)
