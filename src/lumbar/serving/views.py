"""What the desk shows, as plain data: figures in words, points and lines in film pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lumbar.anatomy import Posture
from lumbar.assessment import COUNTER_EVIDENCE, CRITERIA, PAPER, StabilityCriteria
from lumbar.landmarks.spine import COUNT
from lumbar.measurements import QUANTITIES, Unmeasurable
from lumbar.reading import NO_SPINE, Reading
from lumbar.report.constructions import constructions
from lumbar.report.rows import further_tables, heading, level_rows, motion_rows, wedged_bodies, whole_spine
from lumbar.report.words import spacing_in_words
from lumbar.serving.corrections import CORNERS
from lumbar.serving.models import FilmRow, ReadingRow, SignOffRow
from lumbar.serving.motion import Motion, motion_of
from lumbar.serving.store import Store, StudyRecord

REACH = math.sqrt(5.991)
"""Standard deviations within which a corner lies with 95 % (chi squared, two degrees of freedom)."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line of a construction: its level, its kind (wall, displacement, angle), and [x, y] of both ends."""

    site: str
    kind: str
    points: list[list[float]]


@dataclass(frozen=True, slots=True)
class Ellipse:
    """Where a corner lies with 95 %, if the errors are what the reading says: half axes in pixels that are as wide as the film's columns."""

    rx: float
    ry: float
    angle_deg: float


@dataclass(frozen=True, slots=True)
class LevelRow:
    """A level's figures on one film as (text, why there is none), and its grade."""

    site: str
    figures: list[tuple[str, str]]
    grade: str
    slipped: bool


@dataclass(frozen=True, slots=True)
class FurtherTable:
    """Discs or bodies."""

    name: str
    headings: list[str]
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True, slots=True)
class FilmView:
    """One film and the newest (or, in a preview, the coming) version of its reading.

    aspect: height of a pixel over its width. moved: corners that lie elsewhere than in version 1. posture_source: how the posture is known.
    """

    id: str
    name: str
    width: int
    height: int
    aspect: float
    anterior: str
    facing_source: str
    spacing: str
    posture: str | None
    posture_source: str | None
    version: int
    kind: str
    what: str
    author: str
    made_at: str
    confidence: float
    corners: dict[str, list[float] | None]
    moved: list[str]
    ellipses: dict[str, Ellipse | None]
    lines: list[Drawn]
    headings: list[str]
    levels: list[LevelRow]
    whole: list[tuple[str, str]]
    further: list[FurtherTable]
    wedged: list[str]
    reasons: list[str]
    warnings: list[str]
    flags: list[str]


@dataclass(frozen=True, slots=True)
class Said:
    """The verdict on a level by one set of criteria."""

    criteria: str
    verdict: str
    probability: str
    reason: str


@dataclass(frozen=True, slots=True)
class MotionRow:
    """A level between flexion and extension, in words; `verdict` by the criteria that were asked for."""

    site: str
    translation: str
    slip_change: str
    angulation: str
    slip: str
    slip_film: str
    grade: str
    verdict: str
    probability: str
    reason: str
    by_criteria: list[Said]


@dataclass(frozen=True, slots=True)
class MotionView:
    """What moves between the films; `reason` where nothing can be said."""

    criteria: str
    reason: str | None
    lordosis_change_deg: float | None
    levels: list[MotionRow]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class SignOffView:
    """Who signed, when, and in which version of each film."""

    author: str
    made_at: str
    comment: str
    versions: dict[str, int]


@dataclass(frozen=True, slots=True)
class StudyView:
    """A study as the desk shows it; `films` is empty until they are read."""

    id: str
    name: str
    status: str
    problem: str | None
    added_at: str
    added_by: str
    films: list[FilmView]
    motion: MotionView | None
    sign_offs: list[SignOffView]


@dataclass(frozen=True, slots=True)
class Listed:
    """A study in the worklist. doubt: the higher, the earlier it should be looked at."""

    id: str
    name: str
    status: str
    problem: str | None
    films: int
    doubt: float
    flags: list[str]
    added_at: str
    signed_by: str | None


@dataclass(frozen=True, slots=True)
class Worklist:
    """One page of the worklist; `total` counts what matches, `counts` all studies by status."""

    total: int
    counts: dict[str, int]
    studies: list[Listed]


@dataclass(frozen=True, slots=True)
class Remeasured:
    """What a correction changes, or would change: the film and what moves."""

    film: FilmView
    motion: MotionView


@dataclass(frozen=True, slots=True)
class CriteriaView:
    """A set of criteria in words."""

    name: str
    rule: str
    source: str
    remark: str


def all_criteria() -> list[CriteriaView]:
    """Every set of criteria, and last what speaks against all of them."""
    found = [CriteriaView(c.name, c.in_words(), c.source, c.remark) for c in CRITERIA.values()]
    return [*found, CriteriaView("", COUNTER_EVIDENCE, "", "")]


def listed(record: StudyRecord) -> Listed:
    """A study's line in the worklist."""
    return Listed(
        record.study.id,
        record.study.name,
        record.status,
        record.study.problem,
        len(record.films),
        record.doubt,
        record.flags,
        record.study.added_at,
        record.sign_offs[-1].author if record.sign_offs else None,
    )


def study_view(store: Store, record: StudyRecord, criteria: StabilityCriteria = PAPER) -> StudyView:
    """A study with its newest versions."""
    films: list[FilmView] = []
    motion = None
    if len(record.newest) == len(record.films):
        readings = newest_readings(store, record)
        rows = [record.newest[film.id] for film in record.films]
        moves = motion_of(readings, [row.posture for row in rows], criteria)
        films = [
            film_view(store, film, row, reading, i, moves)
            for i, (film, row, reading) in enumerate(zip(record.films, rows, readings, strict=True))
        ]
        motion = motion_view(moves, criteria)
    study = record.study
    return StudyView(
        study.id,
        study.name,
        record.status,
        study.problem,
        study.added_at,
        study.added_by,
        films,
        motion,
        [sign_off_view(off) for off in record.sign_offs],
    )


def newest_readings(store: Store, record: StudyRecord) -> list[Reading]:
    """Of each film in its order."""
    return [store.reading(film.id, record.newest[film.id].version) for film in record.films]


def sign_off_view(off: SignOffRow) -> SignOffView:
    """A sign-off without its number."""
    return SignOffView(off.author, off.made_at, off.comment, off.versions)


def film_view(
    store: Store, film: FilmRow, row: ReadingRow, reading: Reading, position: int, motion: Motion
) -> FilmView:
    """One film with `reading`, be that stored in `row` or only tried."""
    first = store.reading(film.id, 1)
    points = reading.landmarks.points_px
    posture = motion.roles.get(position)
    warnings = [w for w in reading.warnings if not (w == NO_SPINE and first_is_blank(row, first))]
    return FilmView(
        id=film.id,
        name=film.name,
        width=film.width,
        height=film.height,
        aspect=1.0 if reading.spacing is None else reading.spacing.row_mm / reading.spacing.column_mm,
        anterior=reading.anterior,
        facing_source=reading.facing_source,
        spacing=spacing_in_words(reading.spacing),
        posture=posture,
        posture_source=_posture_source(motion, posture, row),
        version=row.version,
        kind=row.kind,
        what=row.what,
        author=row.author,
        made_at=row.made_at,
        confidence=reading.confidence,
        corners={
            name: None if np.isnan(point).any() else point.tolist() for name, point in zip(CORNERS, points, strict=True)
        },
        moved=[
            name for i, name in enumerate(CORNERS) if not np.array_equal(points[i], first.landmarks.points_px[i], True)
        ],
        ellipses=_ellipses(reading),
        lines=[
            Drawn(line.site, line.kind, [line.start.tolist(), line.end.tolist()]) for line in constructions(reading)
        ],
        headings=[heading(quantity.name) for quantity in QUANTITIES],
        levels=[LevelRow(**level) for level in level_rows(reading)],
        whole=whole_spine(reading),
        further=[FurtherTable(**table) for table in further_tables(reading)],
        wedged=wedged_bodies(reading),
        reasons=_reasons(reading),
        warnings=warnings,
        flags=row.flags,
    )


def first_is_blank(row: ReadingRow, first: Reading) -> bool:
    """Whether nobody looked for a spine: in research films start without a prediction."""
    return row.kind == "blank" or not first.weights


def motion_view(motion: Motion, criteria: StabilityCriteria) -> MotionView:
    """What moves, in words."""
    found = motion.assessment
    if found is None:
        return MotionView(criteria.name, motion.reason, None, [], [])
    rows = []
    for level, words in zip(found.levels, motion_rows(found), strict=True):
        said = [Said(s.criteria, *of) for s, of in zip(level.stability, words["by_criteria"], strict=True)]
        rows.append(MotionRow(**{**words, "by_criteria": said}))
    return MotionView(criteria.name, None, found.lordosis_change_deg, rows, list(found.warnings))


def _posture_source(motion: Motion, posture: Posture | None, row: ReadingRow) -> str | None:
    if posture is None:
        return None
    if row.posture is not None:
        return "given"
    return "DICOM" if motion.assessment is None else motion.assessment.posture_sources.get(posture)


def _ellipses(reading: Reading) -> dict[str, Ellipse | None]:
    """In pixels that are square and as wide as the film's columns, which is how the desk shows a film."""
    tall = 1.0 if reading.spacing is None else reading.spacing.row_mm / reading.spacing.column_mm
    stretch = np.diag([1.0, tall])
    found: dict[str, Ellipse | None] = {}
    for i in range(COUNT):
        covariance = stretch @ reading.landmarks.covariance_px[i] @ stretch
        if not np.isfinite(covariance).all():
            found[CORNERS[i]] = None
            continue
        values, vectors = np.linalg.eigh(covariance)
        minor, major = REACH * np.sqrt(np.maximum(values, 0.0))
        angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
        found[CORNERS[i]] = Ellipse(float(major), float(minor), angle)
    return found


def _reasons(reading: Reading) -> list[str]:
    why: dict[str, int] = {}
    for entry in reading.measurements:
        if isinstance(entry, Unmeasurable):
            why[entry.reason] = why.get(entry.reason, 0) + 1
    return [f"{reason} ({count} figure{'s' if count > 1 else ''})" for reason, count in why.items()]
