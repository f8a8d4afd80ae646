"""Readings and studies as tables on the console."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from lumbar.anatomy import LEVELS
from lumbar.measurements import ENDPLATE_DISPLACEMENT, INTERVERTEBRAL_ANGLE, SLIP, WALL_DISPLACEMENT, Unmeasurable
from lumbar.reading import NO_SPINE, Reading
from lumbar.report.words import figure, grade_in_words, percent
from lumbar.study import StudyAssessment

_COLUMNS = (
    ("SD, wall", WALL_DISPLACEMENT.name),
    ("SD, endplate", ENDPLATE_DISPLACEMENT.name),
    ("slip", SLIP.name),
    ("angle", INTERVERTEBRAL_ANGLE.name),
)


def reading_table(reading: Reading) -> Table:
    """One row a level; below it why something is missing, and what to doubt."""
    found = f"anterior {reading.anterior} ({reading.facing_source}), confidence {reading.confidence:.2f}"
    title = f"{reading.film}: {found if reading.landmarks.present.any() else NO_SPINE}"
    notes = "\n".join(_notes(reading))
    table = Table(title=escape(title), title_justify="left", caption=escape(notes), caption_justify="left")
    for heading in ("level", *(name for name, _ in _COLUMNS), "Meyerding"):
        table.add_column(heading, no_wrap=True)
    grades = {grade.site: grade_in_words(grade) for grade in reading.grades}
    for level in map(str, LEVELS):
        figures = (figure(reading.measured(name, level)) for _, name in _COLUMNS)
        table.add_row(level, *figures, grades.get(level, "–"))
    return table


def study_table(study: StudyAssessment) -> Table:
    """One row a level: motion, slip, verdict."""
    names = ", ".join(f"{posture}: {film}" for posture, film in study.films.items())
    table = Table(
        title=escape(f"flexion - extension by the criteria '{study.criteria.name}' ({names})"),
        title_justify="left",
        caption=escape("\n".join(study.warnings)),
        caption_justify="left",
    )
    for heading in ("level", "translation", "angulation", "slip", "Meyerding", "verdict", "P(unstable)"):
        table.add_column(heading, no_wrap=True)
    for level in study.levels:
        table.add_row(
            level.site,
            figure(level.change.translation),
            figure(level.change.angulation),
            figure(level.slip),
            "–" if level.grade is None else grade_in_words(level.grade),
            level.verdict.verdict,
            percent(level.verdict.probability),
        )
    return table


def _notes(reading: Reading) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for entry in reading.measurements:
        if isinstance(entry, Unmeasurable):
            reasons.setdefault(entry.reason, []).append(f"{entry.quantity} {entry.site}")
    notes = [
        f"not measured: {sites[0] if len(sites) == 1 else f'{len(sites)} figures'}: {reason}"
        for reason, sites in reasons.items()
    ]
    return [*notes, *(f"note: {warning}" for warning in reading.warnings)]
