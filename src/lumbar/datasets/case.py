"""A film on disk with the table of its corners, and what its name and the tables beside it say of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from lumbar.anatomy import Posture, Side, Vertebra
from lumbar.films import open_film
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.landmarks.table import read_labels, read_landmarks
from lumbar.radiograph import PixelSpacing, Radiograph

FILM_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".dcm")

_BUU_NAME = re.compile(r"(\d+)-([FM])-(\d{1,3})Y([01])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FilmName:
    """What a film's name says: BUU-LSPINE's NNNN-S-AAAYV is patient, sex (F or M), age in years, and view.

    sex, age: None where the name is another; the patient is then the whole name. lateral: false for BUU's frontal
    films (Y0).
    """

    patient: str
    sex: str | None
    age: int | None
    lateral: bool

    @classmethod
    def parse(cls, stem: str) -> FilmName:
        """Of a file name without its suffix.

        >>> FilmName.parse("0417-F-062Y1")
        FilmName(patient='0417', sex='F', age=62, lateral=True)
        >>> FilmName.parse("film_00007")
        FilmName(patient='film_00007', sex=None, age=None, lateral=True)
        """
        found = _BUU_NAME.fullmatch(stem)
        if found is None:
            return cls(stem, None, None, True)
        patient, sex, age, view = found.groups()
        return cls(patient, sex.upper(), int(age), view == "1")


@dataclass(frozen=True, slots=True)
class Case:
    """One lateral film of a data set, as it is known before the film is opened.

    name: the film's path within the data set, with slashes. table: the csv with its corners, None where there is none.
    sex ("F" or "M"), age (years), posture: None where unknown. spacing: as a table beside the film states it; None
    where no table does, and then the film itself may.
    """

    name: str
    film: Path
    table: Path | None
    patient: str
    sex: str | None = None
    age: int | None = None
    posture: Posture | None = None
    spacing: PixelSpacing | None = None

    def radiograph(self) -> Radiograph:
        """The film, facing left. Raises UnreadableFilm as `open_film` does."""
        radiograph = open_film(self.film, self.spacing).facing(Side.LEFT)
        return radiograph if self.posture is None else replace(radiograph, posture=self.posture)

    def open(self) -> AnnotatedFilm:
        """The film with its corners. Raises UnreadableFilm, and ValueError where the table is missing or malformed."""
        return AnnotatedFilm(self.radiograph(), read_landmarks(self._table()))

    def labels(self) -> dict[Vertebra, int]:
        """The slip labels, as `landmarks.table.read_labels` gives them."""
        return read_labels(self._table())

    def _table(self) -> Path:
        if self.table is None:
            raise ValueError(f"{self.name} has no csv with its corners; put {self.film.stem}.csv beside it")
        return self.table


def films_in(folder: Path) -> list[Path]:
    """Files of `folder` whose suffix is a film's, by name, without hidden ones (macOS makes such twins)."""
    return [path for path in files_in(folder) if path.suffix.lower() in FILM_SUFFIXES]


def files_in(folder: Path) -> list[Path]:
    """The files of `folder` in the order of their names, without hidden ones.

    Raises ValueError where it is no folder.
    """
    if not folder.is_dir():
        raise ValueError(f"a data set must be a folder; got {folder}")
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
