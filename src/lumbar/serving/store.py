"""What is kept of studies, readings and sign-offs: added to, and never overwritten."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, undefer

from lumbar.reading import Reading
from lumbar.serving.database import open_database
from lumbar.serving.doubts import doubt_about
from lumbar.serving.models import FilmRow, ReadingRow, SignOffRow, StudyRow

_KEPT_READINGS = 2048


class Stale(Exception):
    """Somebody was faster. current: {film id: newest version} of the films that were meant."""

    def __init__(self, current: Mapping[str, int]) -> None:
        super().__init__(f"newer versions exist: {dict(current)}")
        self.current = dict(current)


class Missing(KeyError):
    """There is no such study, film or version."""


@dataclass(frozen=True, slots=True)
class NewFilm:
    """A film that came in, with its blob's SHA-256 and what was said of it."""

    name: str
    sha256: str
    width: int
    height: int
    spacing_mm: float | None = None
    anterior: str | None = None


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study, its films in their order, the newest version of each that was read, and all sign-offs from the first."""

    study: StudyRow
    films: tuple[FilmRow, ...]
    newest: Mapping[str, ReadingRow]
    sign_offs: tuple[SignOffRow, ...]

    @property
    def status(self) -> str:
        """waiting, failed, open, signed, or changed: corrected after it was signed."""
        if self.study.state != "read":
            return self.study.state
        if not self.sign_offs:
            return "open"
        current = {film_id: row.version for film_id, row in self.newest.items()}
        return "signed" if self.sign_offs[-1].versions == current else "changed"

    @property
    def doubt(self) -> float:
        """Of its most doubtful film; a study that could not be read comes before all."""
        if self.study.state == "failed":
            return 1000.0
        return max((row.doubt for row in self.newest.values()), default=0.0)

    @property
    def flags(self) -> list[str]:
        """Of all its films, each once."""
        return list(
            dict.fromkeys(flag for film in self.films if film.id in self.newest for flag in self.newest[film.id].flags)
        )


class Store:
    """Queries over one database. Every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._read: OrderedDict[tuple[str, int], Reading] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def open(cls, url: str) -> Store:
        """The store at a database's URL, as `database.open_database` takes it."""
        return cls(open_database(url))

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    @contextmanager
    def _looking(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        engine = self.engine.execution_options(writes=True)
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def add_study(self, name: str, author: str, films: Sequence[NewFilm]) -> str:
        """A study whose films wait to be read; its id."""
        study_id = uuid.uuid4().hex
        with self._writing() as session:
            session.add(
                StudyRow(id=study_id, name=name, added_at=now(), added_by=author, state="waiting", problem=None)
            )
            session.flush()
            for position, film in enumerate(films):
                session.add(
                    FilmRow(
                        id=uuid.uuid4().hex,
                        study_id=study_id,
                        position=position,
                        name=film.name,
                        sha256=film.sha256,
                        width=film.width,
                        height=film.height,
                        spacing_mm=film.spacing_mm,
                        anterior=film.anterior,
                    )
                )
        return study_id

    def add_first(self, study_id: str, readings: Mapping[str, Reading], kind: str, author: str) -> None:
        """Version 1 of every film of a study, which is read thereby; does nothing where it was read already."""
        with self._writing() as session:
            study = session.get_one(StudyRow, study_id)
            if study.state == "read":
                return
            what = "read by the networks" if kind == "prediction" else "nothing marked"
            for film_id, reading in readings.items():
                session.add(_row(film_id, 1, None, kind, what, author, None, reading))
            study.state, study.problem = "read", None

    def fail(self, study_id: str, problem: str) -> None:
        """Say why a study cannot be read."""
        with self._writing() as session:
            study = session.get_one(StudyRow, study_id)
            study.state, study.problem = "failed", problem

    def waiting(self) -> list[str]:
        """Ids of the studies that nobody has read yet, the first added first."""
        with self._looking() as session:
            return list(
                session.scalars(select(StudyRow.id).where(StudyRow.state == "waiting").order_by(StudyRow.added_at))
            )

    def known_names(self) -> set[str]:
        """The names of all studies."""
        with self._looking() as session:
            return set(session.scalars(select(StudyRow.name)))

    def study(self, study_id: str) -> StudyRecord:
        """One study. Raises Missing."""
        found = self._records(study_id)
        if not found:
            raise Missing(study_id)
        return found[0]

    def study_of(self, film_id: str) -> StudyRecord:
        """The study that a film belongs to. Raises Missing."""
        with self._looking() as session:
            film = session.get(FilmRow, film_id)
        if film is None:
            raise Missing(film_id)
        return self.study(film.study_id)

    def studies(self) -> list[StudyRecord]:
        """All studies, the most doubtful of the open ones first, and what needs nobody's work last."""
        order = {"failed": 0, "changed": 0, "open": 0, "waiting": 1, "signed": 2}
        return sorted(self._records(None), key=lambda r: (order[r.status], -r.doubt, r.study.added_at))

    def _records(self, study_id: str | None) -> list[StudyRecord]:
        with self._looking() as session:
            studies = select(StudyRow)
            films = select(FilmRow).order_by(FilmRow.position)
            signed = select(SignOffRow).order_by(SignOffRow.id)
            if study_id is not None:
                studies = studies.where(StudyRow.id == study_id)
                films = films.where(FilmRow.study_id == study_id)
                signed = signed.where(SignOffRow.study_id == study_id)
            newest = select(ReadingRow.film_id, func.max(ReadingRow.version).label("version")).group_by(
                ReadingRow.film_id
            )
            if study_id is not None:
                newest = newest.where(ReadingRow.film_id.in_(films.with_only_columns(FilmRow.id).order_by(None)))
            latest = newest.subquery()
            readings = select(ReadingRow).join(
                latest, (ReadingRow.film_id == latest.c.film_id) & (ReadingRow.version == latest.c.version)
            )
            by_study: dict[str, list[FilmRow]] = {}
            for film in session.scalars(films):
                by_study.setdefault(film.study_id, []).append(film)
            by_film = {row.film_id: row for row in session.scalars(readings)}
            offs: dict[str, list[SignOffRow]] = {}
            for off in session.scalars(signed):
                offs.setdefault(off.study_id, []).append(off)
            return [
                StudyRecord(
                    study,
                    tuple(by_study.get(study.id, ())),
                    {film.id: by_film[film.id] for film in by_study.get(study.id, ()) if film.id in by_film},
                    tuple(offs.get(study.id, ())),
                )
                for study in session.scalars(studies)
            ]

    def history(self, film_id: str) -> list[ReadingRow]:
        """All versions of a film's reading, without their documents, from the first."""
        with self._looking() as session:
            rows = select(ReadingRow).where(ReadingRow.film_id == film_id).order_by(ReadingRow.version)
            return list(session.scalars(rows))

    def version(self, film_id: str, version: int) -> tuple[Reading, ReadingRow]:
        """One version of a film's reading, with its row. Raises Missing."""
        with self._looking() as session:
            row = session.get(ReadingRow, (film_id, version))
        if row is None:
            raise Missing(f"{film_id} version {version}")
        return self.reading(film_id, version), row

    def reading(self, film_id: str, version: int) -> Reading:
        """One version of a film's reading; those asked for last are kept in memory, since they never change. Raises Missing."""
        key = (film_id, version)
        with self._lock:
            if key in self._read:
                self._read.move_to_end(key)
                return self._read[key]
        with self._looking() as session:
            row = session.get(ReadingRow, key, options=[undefer(ReadingRow.document)])
        if row is None:
            raise Missing(f"{film_id} version {version}")
        return self._remembered(key, Reading.from_json(row.document))

    def _remembered(self, key: tuple[str, int], reading: Reading) -> Reading:
        with self._lock:
            self._read[key] = reading
            while len(self._read) > _KEPT_READINGS:
                self._read.popitem(last=False)
        return reading

    def correct(self, film_id: str, base: int, reading: Reading, posture: str | None, what: str, author: str) -> int:
        """Add a correction of version `base`; its version. Raises Stale where `base` is not the newest, and Missing."""
        try:
            with self._writing() as session:
                newest = session.scalar(select(func.max(ReadingRow.version)).where(ReadingRow.film_id == film_id))
                if newest is None:
                    raise Missing(film_id)
                if newest != base:
                    raise Stale({film_id: newest})
                session.add(_row(film_id, base + 1, base, "correction", what, author, posture, reading))
        except IntegrityError:  # another's correction came between the look and the insertion
            with self._looking() as session:
                newest = session.scalar(select(func.max(ReadingRow.version)).where(ReadingRow.film_id == film_id))
            raise Stale({film_id: newest or base}) from None
        self._remembered((film_id, base + 1), reading)
        return base + 1

    def sign(self, study_id: str, versions: Mapping[str, int], author: str, comment: str) -> None:
        """Sign a study as it stands in these versions. Raises Stale where they are not the newest of all its films, and Missing."""
        with self._writing() as session:
            films = list(session.scalars(select(FilmRow.id).where(FilmRow.study_id == study_id)))
            if not films:
                raise Missing(study_id)
            rows = session.execute(
                select(ReadingRow.film_id, func.max(ReadingRow.version))
                .where(ReadingRow.film_id.in_(films))
                .group_by(ReadingRow.film_id)
            )
            newest = {film_id: int(version) for film_id, version in rows}
            if dict(versions) != newest or set(newest) != set(films):
                raise Stale(newest)
            session.add(SignOffRow(study_id=study_id, author=author, made_at=now(), comment=comment, versions=newest))


def now() -> str:
    """The present moment in UTC, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _row(
    film_id: str,
    version: int,
    parent: int | None,
    kind: str,
    what: str,
    author: str,
    posture: str | None,
    reading: Reading,
) -> ReadingRow:
    doubt = doubt_about(reading)
    return ReadingRow(
        film_id=film_id,
        version=version,
        parent=parent,
        kind=kind,
        what=what,
        author=author,
        made_at=now(),
        posture=posture,
        doubt=doubt.score,
        flags=list(doubt.flags),
        document=reading.to_json(),
    )
