"""The BUU-LSPINE format (Klinwichit et al., Appl. Sci. 2023, 13, 8646): a film and a csv of the same stem.

Films are named NNNN-S-AAAYV: patient, sex, age, and view (1 lateral, 0 frontal; frontal films are left out). Any
other name is taken for a lateral film of a patient of that name. The csv is that of `landmarks.table`. All lateral
films face left.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lumbar.datasets.case import FILM_SUFFIXES, Case, FilmName, files_in, films_in
from lumbar.datasets.spacing_tables import SpacingTables, is_buu_spacing_table
from lumbar.landmarks.annotated import AnnotatedFilm

_LATERAL = "LA"
_NOT_CORNERS = ("manifest.csv", "motions.csv", "index.csv")


@dataclass(frozen=True, slots=True)
class BuuFolder:
    """Lateral films of a folder that have a csv beside them, in the order of their names."""

    cases: tuple[Case, ...]

    @classmethod
    def open(cls, folder: Path) -> BuuFolder:
        """All pairs in `folder`, or in its subfolder LA where it has no films of its own.

        Spacings come from the tables that `spacing_tables` describes, in the films' folder or its parent; they override
        what a film itself says. Raises ValueError where there is no pair or a table of spacings is malformed.
        """
        home = film_folder(folder)
        cases = tuple(case for case in cases_of(home, SpacingTables.beside(home)) if case.table is not None)
        if not cases:
            raise ValueError(
                f"{folder} holds no film ({', '.join(FILM_SUFFIXES)}) with a csv of the same name beside it"
            )
        return cls(cases)

    @property
    def pairs(self) -> tuple[tuple[Path, Path], ...]:
        """Each film with its csv."""
        return tuple((case.film, case.table) for case in self.cases if case.table is not None)

    def first(self, films: int | None) -> BuuFolder:
        """The same folder with so many films only; all of them for None."""
        return self if films is None else BuuFolder(self.cases[:films])

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> AnnotatedFilm:
        return self.cases[index % len(self.cases)].open()


def film_folder(folder: Path) -> Path:
    """Where the lateral films lie: in `folder`, or in its subfolder LA. Raises ValueError where `folder` is none."""
    if films_in(folder):
        return folder
    return next((path for path in sorted(folder.iterdir()) if path.is_dir() and path.name.upper() == _LATERAL), folder)


def cases_of(folder: Path, spacings: SpacingTables) -> tuple[Case, ...]:
    """The lateral films in `folder`, with a csv or without."""
    tables = {path.stem: path for path in corner_tables_in(folder)}
    cases = []
    for film in films_in(folder):
        said = FilmName.parse(film.stem)
        if said.lateral:
            table, spacing = tables.get(film.stem), spacings.of(film)
            cases.append(Case(film.name, film, table, said.patient, said.sex, said.age, spacing=spacing))
    return tuple(cases)


def corner_tables_in(folder: Path) -> list[Path]:
    """The csv files of `folder` that may hold corners of a lateral film: not those known to hold others."""
    return [
        path
        for path in files_in(folder)
        if path.suffix.lower() == ".csv"
        and path.name.lower() not in _NOT_CORNERS
        and not is_buu_spacing_table(path)
        and FilmName.parse(path.stem).lateral
    ]
