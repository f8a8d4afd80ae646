"""What the routes share: the desk's store, films, queue and settings, and how a request names things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Path, Query, Request
from pydantic import StringConstraints

from lumbar.assessment import CRITERIA, PAPER
from lumbar.reading import Reading
from lumbar.serving.blobs import Blobs
from lumbar.serving.exported import ExportedFilm, ExportedStudy
from lumbar.serving.motion import motion_of
from lumbar.serving.reading_queue import ReadingQueue
from lumbar.serving.settings import Settings
from lumbar.serving.store import Store, StudyRecord
from lumbar.serving.views import newest_readings

Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="As an answer gave it.")]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$", strip_whitespace=True)
]
CriteriaName = Annotated[
    str, Query(description="By what a level is called unstable.", pattern=f"^({'|'.join(CRITERIA)})$")
]


@dataclass(frozen=True, slots=True)
class Desk:
    """All that a route needs."""

    store: Store
    blobs: Blobs
    queue: ReadingQueue
    settings: Settings

    def who(self, request: Request, stated: str) -> str:
        """Who acts: the reader of a research run, else whom the proxy signed in, else whom the client states."""
        if self.settings.reader is not None:
            return self.settings.reader
        if self.settings.user_header is None:
            return stated
        signed_in = "".join(c for c in request.headers.get(self.settings.user_header, "") if c.isprintable()).strip()
        if not signed_in:
            raise HTTPException(403, f"the proxy must say who you are in the header {self.settings.user_header}")
        return signed_in[:80]

    def exported(self, record: StudyRecord, criteria: str = PAPER.name) -> ExportedStudy:
        """A study for `exports`. Raises HTTPException where it is not read yet."""
        readings = readings_of(self.store, record)
        rows = [record.newest[film.id] for film in record.films]
        films = tuple(
            ExportedFilm(film, row, reading, self.store.reading(film.id, 1), self.blobs.film(film.sha256))
            for film, row, reading in zip(record.films, rows, readings, strict=True)
        )
        return ExportedStudy(record, films, motion_of(readings, [row.posture for row in rows], CRITERIA[criteria]))


def readings_of(store: Store, record: StudyRecord) -> list[Reading]:
    """The newest readings of a study; 409 where it is not read yet."""
    if len(record.newest) != len(record.films):
        raise HTTPException(409, "the study is not read yet; ask again when its status is open")
    return newest_readings(store, record)


def desk_of(request: Request) -> Desk:
    """The desk that the app was made with."""
    desk: Desk = request.app.state.desk
    return desk


TheDesk = Annotated[Desk, Depends(desk_of)]
