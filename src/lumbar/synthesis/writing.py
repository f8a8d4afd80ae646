"""Simulated films on disk: pictures or DICOM, their corners in BUU's csv, and a manifest with the truth of each measurement."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from pydicom.uid import generate_uid

from lumbar.anatomy import LEVELS, Posture
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.landmarks.table import write_landmarks
from lumbar.measurements import QUANTITIES, Measurement, measure
from lumbar.radiograph import Radiograph
from lumbar.synthesis.film import simulate_film, simulate_study
from lumbar.whole_file import written_aside

SOURCE_TO_DETECTOR_MM, SOURCE_TO_OBJECT_MM = 1150.0, 950.0
"""Of the DICOM films: a magnification of 1.21, as is usual for lateral lumbar films."""

Row = dict[str, str]

_ABOUT_FILM = ("film", "seed", "index", "posture", "anterior", "width", "height", "row_mm", "column_mm")
_TRUTHS = tuple(f"{quantity.name} {level}" for level in LEVELS for quantity in QUANTITIES)


def write_film(folder: Path, seed: int, index: int) -> list[Row]:
    """Film `index` of the set `seed` as 16-bit PNG with its csv, facing left as BUU's films do; its row of the manifest."""
    film = simulate_film(seed, index).facing_left()
    path = folder / f"film_{index:05d}.png"
    _write_png(path, film.radiograph)
    write_landmarks(path.with_suffix(".csv"), film.landmarks_px)
    return [_row(path.name, film, seed, index, None)]


def write_study(folder: Path, seed: int, index: int) -> list[Row]:
    """Study `index` of the set `seed` as three DICOM films with their csv in a folder of its own; their rows of the manifest."""
    from lumbar.dicom import write_dx

    home = folder / f"study_{index:05d}"
    home.mkdir(parents=True, exist_ok=True)
    study_uid = generate_uid(entropy_srcs=["lumbar simulated study", str(seed), str(index)])
    rows = []
    for posture, film in simulate_study(seed, index).items():
        spacing = film.radiograph.spacing
        assert spacing is not None
        path = home / f"{posture}.dcm"
        write_dx(
            path,
            film.radiograph,
            imager_spacing_mm=spacing.row_mm * SOURCE_TO_DETECTOR_MM / SOURCE_TO_OBJECT_MM,
            source_to_detector_mm=SOURCE_TO_DETECTOR_MM,
            source_to_object_mm=SOURCE_TO_OBJECT_MM,
            series_description=f"L-SPINE LATERAL {posture.upper()}",
            study_uid=study_uid,
            patient_id=f"SIMULATED-{seed}-{index}",
            patient_name="Simulated^Patient",
            seed=seed,
        )
        write_landmarks(path.with_suffix(".csv"), film.landmarks_px)
        rows.append(_row(f"{home.name}/{path.name}", film, seed, index, posture))
    return rows


@contextmanager
def manifest_writer(path: Path) -> Iterator[Callable[[Iterable[Row]], None]]:
    """A function that adds rows to the manifest; the file appears when all are written."""
    with written_aside(path) as aside, aside.open("w", newline="") as file:
        table = csv.DictWriter(file, [*_ABOUT_FILM, *_TRUTHS])
        table.writeheader()
        yield table.writerows


def _row(name: str, film: AnnotatedFilm, seed: int, index: int, posture: Posture | None) -> Row:
    radiograph = film.radiograph
    spacing = radiograph.spacing
    assert spacing is not None
    about = (
        name,
        seed,
        index,
        posture or "",
        film.anterior,
        radiograph.width,
        radiograph.height,
        f"{spacing.row_mm:.8g}",
        f"{spacing.column_mm:.8g}",
    )
    spine = SpineLandmarks.exact(film.landmarks_px).to_anatomical(film.anterior, spacing)
    truths = {f"{m.quantity} {m.site}": f"{m.value:.4f}" for m in measure(spine) if isinstance(m, Measurement)}
    return {**dict(zip(_ABOUT_FILM, map(str, about), strict=True)), **truths}


def _write_png(path: Path, radiograph: Radiograph) -> None:
    done, data = cv2.imencode(".png", np.rint(radiograph.pixels * 65535).astype(np.uint16))
    assert done
    with written_aside(path) as aside:
        aside.write_bytes(data.tobytes())
