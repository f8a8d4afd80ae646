"""Which films a job is about, and which belong to one study: all of a folder, or those of a list."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import PurePosixPath

import fsspec

from lumbar.radiograph import PixelSpacing

_BESIDE_FILMS = (".csv", ".html", ".json", ".md", ".parquet", ".pdf", ".txt", ".xml", ".zip")


@dataclass(frozen=True, slots=True)
class ListedFilm:
    """name: as the tables have it. path: where it lies, a path or URL. row_mm, column_mm: pixel spacing, where the list says it.

    study: that it is a film of; None where films are read one by one.
    """

    name: str
    path: str
    row_mm: float | None = None
    column_mm: float | None = None
    study: str | None = None

    @property
    def spacing(self) -> PixelSpacing | None:
        """The list's pixel spacing. Raises ValueError where it cannot be one."""
        if self.row_mm is None and self.column_mm is None:
            return None
        if self.row_mm is None or self.column_mm is None:
            raise ValueError("give both or neither")
        return PixelSpacing(self.row_mm, self.column_mm, "list", "patient")


def films_listed(source: str, by_study: bool = False) -> list[ListedFilm]:
    """The films of a folder and its subfolders, or of a CSV with a column `film` and, if need be, `row_mm` and `column_mm`.

    by_study: the films of each folder, or with the same entry in a list's column `study`, are of one study, and stand one after the other.
    Both may lie in an object store. Names are relative to the folder, or as the list has them; paths of a list are relative to
    where it lies. Hidden files, and tables and notes beside the films, are no films; any other file is tried.
    Raises ValueError where there is no such folder or list, where a list is malformed, names a film twice, or nothing is listed.
    """
    try:
        system, root = fsspec.core.url_to_fs(source)
    except (ValueError, ImportError) as problem:
        raise ValueError(
            f"SOURCE must be a folder or a CSV list, as a path or a URL of fsspec; got {source!r}: {problem}"
        ) from None
    if not system.exists(root):
        raise ValueError(f"SOURCE must be a folder or a CSV list; there is nothing at {source}")
    films = _of_folder(system, root, by_study) if system.isdir(root) else _of_list(system, root, source, by_study)
    if not films:
        raise ValueError(f"SOURCE must hold at least one film; got none in {source}")
    places = {study: place for place, study in enumerate(dict.fromkeys(film.study for film in films))}
    return sorted(films, key=lambda film: places[film.study])


def _of_folder(system: fsspec.AbstractFileSystem, root: str, by_study: bool) -> list[ListedFilm]:
    start = root.rstrip("/") + "/"
    found = sorted(path[len(start) :] for path in system.find(root) if path.startswith(start))
    names = [name for name in map(PurePosixPath, found) if _may_be_film(name)]
    return [
        ListedFilm(str(name), system.unstrip_protocol(f"{start}{name}"), study=str(name.parent) if by_study else None)
        for name in names
    ]


def _may_be_film(name: PurePosixPath) -> bool:
    return name.suffix.lower() not in _BESIDE_FILMS and not any(part.startswith(".") for part in name.parts)


def _of_list(system: fsspec.AbstractFileSystem, root: str, source: str, by_study: bool) -> list[ListedFilm]:
    try:
        rows = list(csv.DictReader(io.StringIO(system.cat_file(root).decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as problem:
        raise ValueError(f"SOURCE must be a folder or a CSV list; {source} is no CSV: {problem}") from None
    for column in ("film", "study") if by_study else ("film",):
        if rows and column not in rows[0]:
            raise ValueError(f"a list must have a column {column}; {source} has {', '.join(map(str, rows[0]))}")
    folder = root.rsplit("/", 1)[0]
    films: dict[str, ListedFilm] = {}
    for line, row in enumerate(rows, 2):
        name = (row["film"] or "").strip()
        if not name:
            raise ValueError(f"{source}, line {line}: film must be a path; got nothing")
        if name in films:
            raise ValueError(f"{source}, line {line}: {name} is listed twice")
        study = (row["study"] or "").strip() if by_study else None
        if study == "":
            raise ValueError(f"{source}, line {line}: study must say which study the film is of; got nothing")
        elsewhere = "://" in name or name.startswith("/")
        path = name if elsewhere else system.unstrip_protocol(f"{folder}/{name}")
        try:
            row_mm, column_mm = (float(row[c]) if row.get(c) else None for c in ("row_mm", "column_mm"))
            film = ListedFilm(name, path, row_mm, column_mm, study)
            film.spacing  # noqa: B018  a list's mistakes are told before hours of work
        except ValueError as problem:
            raise ValueError(f"{source}, line {line}: row_mm and column_mm must be lengths in mm; {problem}") from None
        films[name] = film
    return list(films.values())
