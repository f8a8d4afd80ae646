"""Routes of films: pixels, history, corrections tried and corrections kept."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict

from lumbar.assessment import CRITERIA, PAPER
from lumbar.films import open_film
from lumbar.reading import Reading
from lumbar.serving.corrections import Action, Corrected, Version, correct
from lumbar.serving.desk import CriteriaName, Desk, Id, Name, TheDesk, readings_of
from lumbar.serving.models import ReadingRow
from lumbar.serving.motion import motion_of
from lumbar.serving.store import StudyRecord, now
from lumbar.serving.views import Remeasured, film_view, motion_view

router = APIRouter(prefix="/api/films", tags=["films"])


class Tried(BaseModel):
    """base: the version that the action is done to."""

    model_config = ConfigDict(extra="forbid")
    base: Version
    do: Action


class Correction(Tried):
    """A trial that is to be kept, by `author`."""

    author: Name


class VersionView(BaseModel):
    """One version of a film's reading: who made it, when, of which version, and what was done."""

    version: int
    parent: int | None
    kind: str
    what: str
    author: str
    made_at: str
    posture: str | None


_STALE: dict[int | str, dict[str, Any]] = {
    409: {"description": "`base` is not the newest version; the answer's `current` names it."}
}


@router.get("/{film_id}/pixels", response_class=FileResponse, responses={200: {"content": {"image/png": {}}}})
def pixels(film_id: Id, desk: TheDesk) -> FileResponse:
    """The film as a grey PNG of 8 or 16 bits, bone bright, in the size that corners count in."""
    record = desk.store.study_of(film_id)
    (film,) = (film for film in record.films if film.id == film_id)
    home = desk.blobs.pixels(film.sha256, lambda: open_film(desk.blobs.film(film.sha256)))
    return FileResponse(home, media_type="image/png")


@router.get("/{film_id}/versions")
def versions(film_id: Id, desk: TheDesk) -> list[VersionView]:
    """All versions of the film's reading, from the first."""
    desk.store.study_of(film_id)
    rows = desk.store.history(film_id)
    fields = VersionView.model_fields
    return [VersionView(**{name: getattr(row, name) for name in fields}) for row in rows]


@router.get("/{film_id}/versions/{version}")
def one_version(film_id: Id, version: Version, desk: TheDesk) -> dict[str, object]:
    """One version as `lumbar read` writes it (docs/output.md)."""
    found: dict[str, object] = json.loads(desk.store.reading(film_id, version).to_json())
    return found


@router.post("/{film_id}/measure", responses=_STALE)
def measure(film_id: Id, tried: Tried, desk: TheDesk, criteria: CriteriaName = PAPER.name) -> Remeasured:
    """What a correction would change; nothing is kept."""
    record, corrected = _corrected(desk, film_id, tried)
    return _remeasured(desk, record, film_id, corrected, tried.base, "you", criteria)


@router.post("/{film_id}/corrections", status_code=201, responses=_STALE)
def correction(
    film_id: Id, wanted: Correction, request: Request, desk: TheDesk, criteria: CriteriaName = PAPER.name
) -> Remeasured:
    """Keep a correction as the next version; 409 where somebody was faster, so that neither correction is lost."""
    author = desk.who(request, wanted.author)
    record, corrected = _corrected(desk, film_id, wanted)
    version = desk.store.correct(film_id, wanted.base, corrected.reading, corrected.posture, corrected.what, author)
    return _remeasured(desk, record, film_id, corrected, version, author, criteria)


def _corrected(desk: Desk, film_id: str, tried: Tried) -> tuple[StudyRecord, Corrected]:
    record = desk.store.study_of(film_id)
    readings_of(desk.store, record)
    base, row = desk.store.version(film_id, tried.base)

    def earlier(version: int) -> tuple[Reading, str | None]:
        reading, of = desk.store.version(film_id, version)
        return reading, of.posture

    try:
        return record, correct(base, row.posture, tried.do, earlier)
    except ValueError as problem:
        raise HTTPException(422, str(problem)) from None


def _remeasured(
    desk: Desk, record: StudyRecord, film_id: str, corrected: Corrected, version: int, author: str, criteria: str
) -> Remeasured:
    """The film with its corrected reading, among the newest readings of the study's other films."""
    by = CRITERIA[criteria]
    films = record.films
    position = next(i for i, film in enumerate(films) if film.id == film_id)
    readings = readings_of(desk.store, record)
    said = [record.newest[film.id].posture for film in films]
    readings[position], said[position] = corrected.reading, corrected.posture
    motion = motion_of(readings, said, by)
    row = ReadingRow(
        film_id=film_id, version=version, parent=None, kind="correction", what=corrected.what, author=author, made_at=now(),
        posture=corrected.posture, doubt=0.0, flags=[], document="",
    )  # fmt: skip
    return Remeasured(
        film_view(desk.store, films[position], row, corrected.reading, position, motion), motion_view(motion, by)
    )
