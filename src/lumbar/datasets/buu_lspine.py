"""The BUU-LSPINE format (Klinwichit et al., Appl. Sci. 2023, 13, 8646): a film and a csv of the same stem.

The csv is that of `landmarks.table`. All lateral films face left.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lumbar.anatomy import Side
from lumbar.films import open_film
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.landmarks.table import read_landmarks

_FILM_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".dcm")


@dataclass(frozen=True, slots=True)
class BuuFolder:
    """Films of a folder that have a csv beside them, in the order of their names."""

    pairs: tuple[tuple[Path, Path], ...]

    @classmethod
    def open(cls, folder: Path) -> BuuFolder:
        """All pairs in `folder`. Raises ValueError where there is none."""
        pairs = tuple(
            (film, film.with_suffix(".csv"))
            for film in sorted(folder.iterdir())
            if film.suffix.lower() in _FILM_SUFFIXES and film.with_suffix(".csv").is_file()
        )
        if not pairs:
            raise ValueError(
                f"{folder} holds no film ({', '.join(_FILM_SUFFIXES)}) with a csv of the same name beside it"
            )
        return cls(pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> AnnotatedFilm:
        film, table = self.pairs[index % len(self.pairs)]
        return AnnotatedFilm(open_film(film).facing(Side.LEFT), read_landmarks(table))
