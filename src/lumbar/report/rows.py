"""Readings and studies as rows of words: one text for the pages and for the desk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lumbar.anatomy import LEVELS, Vertebra
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
from lumbar.reading import Reading
from lumbar.report.words import figure, grade_in_words, percent
from lumbar.study import StudyAssessment

_HEADINGS = {
    "sagittal_displacement_wall": "sagittal displacement (wall)",
    "sagittal_displacement_endplate": "sagittal displacement (endplate)",
    "slip": "slip",
    "intervertebral_angle": "intervertebral angle",
}
_WHOLE = ((LORDOSIS, "L1-S1"), (SACRAL_SLOPE, "S1"))


def heading(name: str) -> str:
    """A quantity's name as a heading."""
    return _HEADINGS.get(name, name.replace("_", " "))


def level_rows(reading: Reading) -> list[dict[str, Any]]:
    """One row a level: site, figures as (text, why not) in the order of `QUANTITIES`, grade, slipped."""
    return [_row(reading, site) for site in map(str, LEVELS)]


def further_tables(reading: Reading) -> list[dict[str, Any]]:
    """Discs and bodies: name, headings, rows of (site, texts)."""
    return [
        _further("discs", DISC_QUANTITIES, [str(level) for level in LEVELS], reading),
        _further("bodies", BODY_QUANTITIES, [str(v) for v in Vertebra if v is not Vertebra.S1], reading),
    ]


def whole_spine(reading: Reading) -> list[tuple[str, str]]:
    """Lordosis and sacral slope: (heading, text)."""
    return [(heading(q.name), figure(reading.measured(q.name, site))) for q, site in _WHOLE]


def motion_rows(study: StudyAssessment) -> list[dict[str, Any]]:
    """One row a level: the changes between flexion and extension, slip, grade, and the verdicts by every criteria."""
    return [
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


def wedged_bodies(reading: Reading) -> list[str]:
    """Bodies that lost a fifth of their height in front or behind, in words."""
    found = []
    for vertebra in Vertebra:
        ratio = None if vertebra is Vertebra.S1 else reading.measured("height_ratio", str(vertebra))
        if isinstance(ratio, Measurement) and (grade := genant_grade(ratio.value)):
            found.append(
                f"{vertebra}: {('mild', 'moderate', 'severe')[grade - 1]} (anterior height {ratio.value:.0f} % of the posterior)"
            )
    return found


def _further(name: str, quantities: Sequence[Quantity], sites: Sequence[str], reading: Reading) -> dict[str, Any]:
    rows = [
        (site, [figure(reading.measured(q.name, site), signed=q.unit == "deg") for q in quantities]) for site in sites
    ]
    return {"name": name, "headings": [heading(q.name) for q in quantities], "rows": rows}


def _row(reading: Reading, site: str) -> dict[str, Any]:
    found = [reading.measured(quantity.name, site) for quantity in QUANTITIES]
    grades = [grade for grade in reading.grades if grade.site == site]
    return {
        "site": site,
        "figures": [(figure(m), m.reason if isinstance(m, Unmeasurable) else "") for m in found],
        "grade": grade_in_words(grades[0]) if grades else "–",
        "slipped": bool(grades and grades[0].grade > 0),
    }
