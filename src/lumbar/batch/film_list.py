"""Which films a job is about: all of a folder, or those of a list."""

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
    """name: as the tables have it. path: where it lies, a path or URL. row_mm, column_mm: pixel spacing, where the list says it."""

    name: str
    path: str
    row_mm: float | None = None
    column_mm: float | None = None

    @property
    def spacing(self) -> PixelSpacing | None:
        """The list's pixel spacing. Raises ValueError where it cannot be one."""
        if self.row_mm is None and self.column_mm is None:
            return None
        if self.row_mm is None or self.column_mm is None:
            raise ValueError("give both or neither")
        return PixelSpacing(self.row_mm, self.column_mm, "list", "patient")


def films_listed(source: str) -> list[ListedFilm]:
    """The films of a folder and its subfolders, or of a CSV with a column `film` and, if need be, `row_mm` and `column_mm`.

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
    films = _of_folder(system, root) if system.isdir(root) else _of_list(system, root, source)
    if not films:
        raise ValueError(f"SOURCE must hold at least one film; got none in {source}")
    return films


def _of_folder(system: fsspec.AbstractFileSystem, root: str) -> list[ListedFilm]:
    start = root.rstrip("/") + "/"
    found = sorted(path[len(start) :] for path in system.find(root) if path.startswith(start))
    names = [name for name in found if _may_be_film(PurePosixPath(name))]
    return [ListedFilm(name, system.unstrip_protocol(start + name)) for name in names]


def _may_be_film(name: PurePosixPath) -> bool:
    return name.suffix.lower() not in _BESIDE_FILMS and not any(part.startswith(".") for part in name.parts)


def _of_list(system: fsspec.AbstractFileSystem, root: str, source: str) -> list[ListedFilm]:
    try:
        rows = list(csv.DictReader(io.StringIO(system.cat_file(root).decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as problem:
        raise ValueError(f"SOURCE must be a folder or a CSV list; {source} is no CSV: {problem}") from None
    if rows and "film" not in rows[0]:
        raise ValueError(f"a list must have a column film; {source} has {', '.join(map(str, rows[0]))}")
    folder = root.rsplit("/", 1)[0]
    films: dict[str, ListedFilm] = {}
    for line, row in enumerate(rows, 2):
        name = (row["film"] or "").strip()
        if not name:
            raise ValueError(f"{source}, line {line}: film must be a path; got nothing")
        if name in films:
            raise ValueError(f"{source}, line {line}: {name} is listed twice")
        elsewhere = "://" in name or name.startswith("/")
        path = name if elsewhere else system.unstrip_protocol(f"{folder}/{name}")
        try:
            film = ListedFilm(name, path, *(float(row[c]) if row.get(c) else None for c in ("row_mm", "column_mm")))
            film.spacing  # noqa: B018  a list's mistakes are told before hours of work
        except ValueError as problem:
            raise ValueError(f"{source}, line {line}: row_mm and column_mm must be lengths in mm; {problem}") from None
        films[name] = film
    return list(films.values())
