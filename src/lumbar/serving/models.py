"""The tables: studies, their films, and what was said of each. Readings and sign-offs are only ever added."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, deferred, mapped_column


class Table(DeclarativeBase):
    """What all tables share. Times are UTC, as ISO 8601 text with microseconds, so that both databases sort them alike."""

    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON}  # noqa: RUF012


class StudyRow(Table):
    """One to three films of one patient. state: waiting (to be read), read, or failed, with the `problem`."""

    __tablename__ = "studies"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    added_at: Mapped[str] = mapped_column(String(32), index=True)
    added_by: Mapped[str] = mapped_column(String(80))
    state: Mapped[str] = mapped_column(String(10), index=True)
    problem: Mapped[str | None] = mapped_column(Text)


class FilmRow(Table):
    """A film: the name it came with (never a path), the SHA-256 of its bytes, and what was said of it when it came.

    depth: bits of its pixels as they are served. spacing_mm, anterior: as given with the film, else null.
    """

    __tablename__ = "films"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"), index=True)
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64))
    width: Mapped[int]
    height: Mapped[int]
    spacing_mm: Mapped[float | None] = mapped_column(Float)
    anterior: Mapped[str | None] = mapped_column(String(5))


class ReadingRow(Table):
    """One version of what a film shows; version 1 is the prediction (or, in research, blank), and each further one a correction.

    The primary key is what keeps two corrections of one version apart: the second finds the number taken.
    kind: prediction, blank or correction. posture: as somebody said it, else null. doubt, flags: for the worklist.
    """

    __tablename__ = "readings"
    film_id: Mapped[str] = mapped_column(ForeignKey("films.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent: Mapped[int | None]
    kind: Mapped[str] = mapped_column(String(10))
    what: Mapped[str] = mapped_column(Text)
    author: Mapped[str] = mapped_column(String(80))
    made_at: Mapped[str] = mapped_column(String(32))
    posture: Mapped[str | None] = mapped_column(String(10))
    doubt: Mapped[float] = mapped_column(Float)
    flags: Mapped[list[str]]
    document: Mapped[str] = deferred(mapped_column(Text, nullable=False))


class SignOffRow(Table):
    """Somebody stood for a study as it was: `versions` is {film id: version}."""

    __tablename__ = "sign_offs"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"), index=True)
    author: Mapped[str] = mapped_column(String(80))
    made_at: Mapped[str] = mapped_column(String(32))
    comment: Mapped[str] = mapped_column(Text)
    versions: Mapped[dict[str, Any]]
