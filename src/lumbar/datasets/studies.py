"""A folder of studies: a subfolder for each patient, in it flexion.*, extension.*, perhaps neutral.*, with their csv.

`motions.csv` beside them, as `lumbar synthesise --studies` writes it, holds how each level moves from extension to
flexion.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lumbar.anatomy import LEVELS, Posture
from lumbar.assessment import Verdict
from lumbar.datasets.case import Case, films_in
from lumbar.datasets.spacing_tables import SpacingTables

MOTIONS = "motions.csv"


@dataclass(frozen=True, slots=True)
class Motion:
    """The truth of one level: flexion less extension, anterior translation positive; None where it is not known."""

    site: str
    translation_mm: float | None
    angulation_deg: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class StudyCase:
    """The films of one patient, by posture, and the true motions from L1/L2 down; no motions where none are stated."""

    patient: str
    films: Mapping[Posture, Case]
    motions: tuple[Motion, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """Studies in the order of their names."""

    studies: tuple[StudyCase, ...]

    @classmethod
    def open(cls, folder: Path) -> StudyFolder:
        """Each subfolder that holds a film named after a posture.

        Raises ValueError where there is none, two films of a study are of one posture, or a table is malformed.
        """
        if not folder.is_dir():
            raise ValueError(f"a folder of studies must be a folder; got {folder}")
        motions = _motions(folder / MOTIONS) if (folder / MOTIONS).is_file() else {}
        spacings = SpacingTables.beside(folder)
        studies = tuple(
            StudyCase(home.name, films_of_study(home, spacings), motions.get(home.name, ()))
            for home in study_folders_in(folder)
        )
        if not studies:
            raise ValueError(
                f"{folder} holds no study: a subfolder with films named {', '.join(Posture)}, such as flexion.dcm"
            )
        return cls(studies)

    @property
    def cases(self) -> tuple[Case, ...]:
        """All films."""
        return tuple(case for study in self.studies for case in study.films.values())

    def __len__(self) -> int:
        return len(self.studies)

    def __getitem__(self, index: int) -> StudyCase:
        return self.studies[index]


def study_folders_in(folder: Path) -> list[Path]:
    """Subfolders that hold a film named after a posture, in the order of their names."""
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path for path in subfolders if any(_posture(film) for film in films_in(path))]


def films_of_study(home: Path, spacings: SpacingTables) -> dict[Posture, Case]:
    """The films in one study's folder, in the order of `Posture`. Raises ValueError where two are of one posture."""
    found: dict[Posture, Case] = {}
    for film in films_in(home):
        posture = _posture(film)
        if posture is None:
            continue
        if posture in found:
            raise ValueError(
                f"{home.name} must hold one {posture} film; got {found[posture].film.name} and {film.name}"
            )
        table = film.with_suffix(".csv")
        name = f"{home.name}/{film.name}"
        found[posture] = Case(
            name, film, table if table.is_file() else None, home.name, posture=posture, spacing=spacings.of(film)
        )
    return {posture: found[posture] for posture in Posture if posture in found}


def _posture(film: Path) -> Posture | None:
    return Posture(film.stem.lower()) if film.stem.lower() in tuple(Posture) else None


def _motions(path: Path) -> dict[str, tuple[Motion, ...]]:
    order = [str(level) for level in LEVELS]
    motions: dict[str, list[Motion]] = {}
    for number, row in enumerate(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()), 2):
        try:
            translation, angulation = (float(row[c]) if row[c] else None for c in ("translation_mm", "angulation_deg"))
            motion = Motion(row["site"], translation, angulation, Verdict(row["verdict"]))
            if motion.site not in order:
                raise ValueError(f"site must be one of {', '.join(order)}; got {motion.site!r}")
            motions.setdefault(row["study"], []).append(motion)
        except KeyError as missing:
            raise ValueError(f"{path.name}: row {number} has no column {missing}") from None
        except ValueError as problem:
            raise ValueError(f"{path.name}: row {number}: {problem}") from None
    return {
        study: tuple(sorted(found, key=lambda motion: order.index(motion.site))) for study, found in motions.items()
    }
