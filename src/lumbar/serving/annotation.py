"""Research: the films of a folder marked without predictions, each reader apart, and how well the readers agree.

`lumbar serve --annotate FOLDER --reader NAME` keeps NAME's work in FOLDER/readers/NAME alone: its database, and of each film that
was signed a csv in BUU-LSPINE's format and an entry in coco.json. A server for one reader never opens what another one wrote, so
that readers are blinded by construction.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lumbar.anatomy import Side
from lumbar.datasets.annotation import Annotation
from lumbar.datasets.buu_lspine import film_folder
from lumbar.datasets.case import films_in
from lumbar.datasets.coco import read_coco, write_coco
from lumbar.datasets.spacing_tables import SpacingTables
from lumbar.evaluation.agreement import Agreement
from lumbar.films import open_film
from lumbar.geometry import FloatArray
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.spine import COUNT
from lumbar.landmarks.table import read_landmarks, write_landmarks
from lumbar.measurements import Measurement
from lumbar.radiograph import Radiograph, UnreadableFilm
from lumbar.reading import Reading
from lumbar.serving.blobs import Blobs
from lumbar.serving.exported import ExportedFilm
from lumbar.serving.store import NewFilm, Store

READERS = "readers"


def reader_folder(folder: Path, reader: str) -> Path:
    """Where one reader's work lies. Raises ValueError where `reader` is no plain name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}", reader):
        raise ValueError(
            f"--reader must be up to 40 letters, digits, '-', '_' and '.', the first a letter or digit; got {reader!r}"
        )
    return folder / READERS / reader


def nothing_marked(radiographs: Sequence[Radiograph], names: Sequence[str], source: str) -> list[Reading]:
    """Readings without a corner: what a film starts from where nobody predicts. Films face left unless they say otherwise."""
    nothing = SpineLandmarks(np.full((COUNT, 2), np.nan), np.full((COUNT, 2, 2), np.nan), np.zeros(COUNT))
    return [
        Reading.of(
            name,
            r.facing(r.anterior or Side.LEFT),
            None,
            nothing,
            facing_source="given" if r.anterior is None else source,
            weights={},
        )
        for r, name in zip(radiographs, names, strict=True)
    ]


def add_folder(store: Store, blobs: Blobs, folder: Path, reader: str, each: Iterable[Path] | None = None) -> list[str]:
    """Put every film of `folder` that is not there yet on the worklist; a line for each that cannot be read.

    each: the films, when something goes through them such as a progress bar. Raises ValueError where there is none.
    """
    home = film_folder(folder)
    films = films_in(home)
    if not films:
        raise ValueError(f"{folder} holds no film; --annotate takes a folder of films, or one with a subfolder LA")
    spacings, known, problems = SpacingTables.beside(home), store.known_names(), []
    stems: dict[str, str] = {}
    for film in each or films:
        if (first := stems.setdefault(film.stem, film.name)) != film.name:
            problems.append(f"{film.name}: its csv would be that of {first}; rename one of them")
            continue
        if film.name in known:
            continue
        try:
            radiograph = open_film(film)
        except UnreadableFilm as problem:
            problems.append(f"{film.name}: {problem}")
            continue
        sha256 = blobs.keep(film)
        blobs.keep_pixels(sha256, radiograph)
        stated = spacings.of(film)
        spacing_mm = None if stated is None else stated.row_mm
        new = NewFilm(film.name, sha256, radiograph.width, radiograph.height, spacing_mm)
        store.add_study(film.name, reader, [new])
    return problems


def write_annotations(folder: Path, reader: str, films: Sequence[ExportedFilm]) -> None:
    """Write the films' csv and their entries in coco.json into the reader's folder.

    Raises ValueError where a film faces right: both formats are of films that face left.
    """
    out = reader_folder(folder, reader)
    out.mkdir(parents=True, exist_ok=True)
    new = {}
    for film in films:
        if film.reading.anterior is Side.RIGHT:
            raise ValueError(
                f"{film.film.name} faces right, and annotations are of films that face left: mirror the film itself first"
            )
        annotation = Annotation(film.film.name, film.film.width, film.film.height, film.reading.landmarks.points_px)
        new[annotation.film] = annotation
        write_landmarks(annotation.beside(out, ".csv"), annotation.points_px)
    coco = out / "coco.json"
    old = {entry.film: entry for entry in read_coco(coco)} if coco.is_file() else {}
    write_coco(coco, [entry for _, entry in sorted({**old, **new}.items())])


@dataclass(frozen=True, slots=True)
class Compared:
    """Two readers on one quantity at one site, over the films that both measured."""

    quantity: str
    site: str
    unit: str
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class InterReader:
    """readers: two names. films: those that both marked. corners_px: distances (n,) between the readers' corners in film pixels.

    corners_missed: corners that one marked and the other did not.
    """

    readers: tuple[str, str]
    films: tuple[str, ...]
    corners_px: FloatArray
    corners_missed: int
    compared: tuple[Compared, ...]

    @property
    def median_px(self) -> float:
        """How far apart the readers' corners lie, in film pixels; NaN where they share none."""
        return float(np.median(self.corners_px)) if len(self.corners_px) else float("nan")

    def to_json(self) -> dict[str, Any]:
        """One object; what cannot be computed is null."""
        return {
            "format": "lumbar.agreement/1",
            "readers": list(self.readers),
            "films": list(self.films),
            "corners": len(self.corners_px),
            "corners_missed": self.corners_missed,
            "median_corner_distance_px": _or_null(self.median_px),
            "quantities": [
                {
                    "quantity": row.quantity,
                    "site": row.site,
                    "unit": row.unit,
                    **{name: _or_null(value) for name, value in asdict(row.agreement).items()},
                }
                for row in self.compared
            ],
        }


def compare_readers(folder: Path, readers: tuple[str, str]) -> InterReader:
    """Both readers' measurements side by side, the second less the first: made of their csv by the code that measures everything else.

    Raises ValueError where a reader has no csv, or the two have no film in common.
    """
    tables = [{path.stem: path for path in sorted(reader_folder(folder, reader).glob("*.csv"))} for reader in readers]
    for reader, found in zip(readers, tables, strict=True):
        if not found:
            raise ValueError(f"{reader_folder(folder, reader)} holds no csv; {reader} has signed no film yet")
    home = film_folder(folder)
    films = {path.stem: path for path in films_in(home)}
    both = [stem for stem in tables[0] if stem in tables[1] and stem in films]
    if not both:
        raise ValueError(f"{readers[0]} and {readers[1]} have no film in common")
    spacings = SpacingTables.beside(home)
    values: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    distances, missed = [], 0
    for stem in both:
        radiograph = open_film(films[stem], spacings.of(films[stem])).facing(Side.LEFT)
        points = [read_landmarks(found[stem]) for found in tables]
        apart = np.linalg.norm(points[1] - points[0], axis=1)
        distances += apart[np.isfinite(apart)].tolist()
        missed += int((np.isnan(points[0][:, 0]) != np.isnan(points[1][:, 0])).sum())
        for key, pair in _pairs(stem, replace(radiograph, posture=None), points):
            values.setdefault(key, []).append(pair)
    compared = tuple(
        Compared(quantity, site, unit, Agreement.of(np.array([b for _, b in pairs]), np.array([a for a, _ in pairs])))
        for (quantity, site, unit), pairs in values.items()
    )
    return InterReader(readers, tuple(both), np.array(distances), missed, compared)


def _or_null(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _pairs(
    stem: str, radiograph: Radiograph, points: Sequence[FloatArray]
) -> Iterable[tuple[tuple[str, str, str], tuple[float, float]]]:
    found = [
        Reading.of(
            stem, radiograph, None, SpineLandmarks.exact(np.asarray(p)), facing_source="given", weights={}
        ).measurements
        for p in points
    ]
    for one, other in zip(*found, strict=True):
        if isinstance(one, Measurement) and isinstance(other, Measurement):
            yield (one.quantity, one.site, one.unit), (one.value, other.value)
