"""Pixel spacings that stand in tables beside the films.

`pixel_spacing_*.csv` comes with the full BUU-LSPINE: columns filename and pixel_spacing (mm), separated by tabs.
`manifest.csv` is what `lumbar synthesise` writes: columns film, row_mm and column_mm, which are empty where a film's
spacing is not to be known.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lumbar.datasets.case import FILM_SUFFIXES, files_in
from lumbar.radiograph import PixelSpacing

MANIFEST = "manifest.csv"
_BUU_PREFIX = "pixel_spacing"


@dataclass(frozen=True, slots=True)
class SpacingTables:
    """The spacings that tables state: by the stem of a film's name, and by its path.

    A stem is enough for BUU's names, which are unique; the simulator's names begin anew in every folder.
    """

    by_stem: Mapping[str, PixelSpacing] = field(default_factory=dict)
    by_path: Mapping[Path, PixelSpacing] = field(default_factory=dict)

    @classmethod
    def beside(cls, folder: Path) -> SpacingTables:
        """The tables in `folder` and in its parent; the nearer one is believed.

        Raises ValueError naming the table, the row and what is wrong with it.
        """
        by_stem: dict[str, PixelSpacing] = {}
        by_path: dict[Path, PixelSpacing] = {}
        for home in (folder.resolve().parent, folder.resolve()):
            for path in files_in(home):
                if is_buu_spacing_table(path):
                    by_stem.update(_buu_table(path))
                elif path.name == MANIFEST:
                    by_path.update(_manifest(path))
        return cls(by_stem, by_path)

    def of(self, film: Path) -> PixelSpacing | None:
        """The spacing that a table states for the film, None where none does."""
        return self.by_path.get(film.resolve()) or self.by_stem.get(_stem(film.name))


def is_buu_spacing_table(path: Path) -> bool:
    """Whether the file is named like BUU-LSPINE's table of spacings, of any version."""
    return path.name.lower().startswith(_BUU_PREFIX) and path.suffix.lower() in (".csv", ".tsv", ".txt")


def _buu_table(path: Path) -> dict[str, PixelSpacing]:
    """A name and one length in each row, or two lengths, row spacing first. The first row may be a header."""
    spacings = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        cells = [
            cell.strip().strip('"') for cell in line.replace(";", "\t").replace(",", "\t").split("\t") if cell.strip()
        ]
        if not cells:
            continue
        try:
            name, lengths = cells[0], [float(cell) for cell in cells[1:3]]
            row_mm, column_mm = lengths * 2 if len(lengths) == 1 else lengths
            spacings[_stem(name)] = PixelSpacing(row_mm, column_mm, path.name, "unknown")
        except ValueError:
            if number > 1:
                raise ValueError(
                    f"{path.name}: row {number} must be a film's name and its mm per pixel; got {cells}"
                ) from None
    return spacings


def _manifest(path: Path) -> dict[Path, PixelSpacing]:
    spacings = {}
    for number, row in enumerate(csv.DictReader(_text(path).splitlines()), 2):
        film, lengths = row.get("film"), (row.get("row_mm"), row.get("column_mm"))
        if film is None or None in lengths:
            raise ValueError(
                f"{path.name}: row {number} must have the columns film, row_mm and column_mm; has {list(row)}"
            )
        row_mm, column_mm = lengths
        if not (row_mm and column_mm):
            continue
        try:
            spacings[path.parent / film] = PixelSpacing(float(row_mm), float(column_mm), path.name, "patient")
        except ValueError:
            raise ValueError(
                f"{path.name}: row {number} must have lengths in mm as row_mm and column_mm; "
                f"got {row_mm!r}, {column_mm!r}"
            ) from None
    return spacings


def _stem(name: str) -> str:
    """A film's name without folders and suffix, in one case.

    >>> _stem("LA/0417-f-062Y1.JPG"), _stem("0417-F-062Y1")
    ('0417-F-062Y1', '0417-F-062Y1')
    """
    path = PurePosixPath(name.replace("\\", "/"))
    return (path.stem if path.suffix.lower() in FILM_SUFFIXES else path.name).upper()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} must be a text file; it is not text") from None
