"""Simulated films on disk: pictures or DICOM, their corners in BUU's csv, and a table of the truth.

What is done is kept: each film or study leaves its rows in a hidden folder, so that a run that was killed goes on where it
stood; the tables are written when all are there.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from lumbar.anatomy import LEVELS, Posture
from lumbar.assessment import assess_stability
from lumbar.geometry import FloatArray
from lumbar.landmarks import AnatomicalSpine, SpineLandmarks
from lumbar.landmarks.table import write_landmarks
from lumbar.measurements import (
    QUANTITIES,
    Measurement,
    Unmeasurable,
    measure,
    measure_changes,
    measure_lordosis,
)
from lumbar.synthesis.artefacts import tinted
from lumbar.synthesis.film import PHOTOGRAPHS, SimulatedFilm, simulate, simulate_study
from lumbar.synthesis.framing import ASKEW
from lumbar.synthesis.spine import Spine
from lumbar.whole_file import written_aside
from lumbar.worker_processes import worker_pool

Row = dict[str, str]

MANIFEST, MOTIONS = "manifest.csv", "motions.csv"
_DONE = ".done"
_ABOUT_FILM = (
    "film", "seed", "index", "posture", "anterior", "width", "height", "row_mm", "column_mm", "source_to_detector_mm",
    "source_to_patient_mm", "photograph", "box_x0", "box_y0", "box_x1", "box_y1", "findings",
)  # fmt: skip
_TRUTHS = ("lordosis L1-S1", *(f"{quantity.name} {level}" for level in LEVELS for quantity in QUANTITIES))
_MOTION = ("study", "seed", "index", "site", "translation_mm", "angulation_deg", "verdict")


@dataclass(frozen=True, slots=True)
class Order:
    """What to write: so many films and studies of the set `seed`, `height` pixels high, films as "png" or "dicom".

    squared_s1, askew, spondylosis: the shares of single films whose S1 looks like a lumbar vertebra, whose patients stand badly, and have worn levels.
    """

    films: int
    studies: int
    seed: int
    height: int = 1024
    format: str = "png"
    squared_s1: float = 0.0
    askew: float = ASKEW
    spondylosis: float = 0.0

    def __post_init__(self) -> None:
        if self.format not in ("png", "dicom"):
            raise ValueError(f"format must be png or dicom; got {self.format!r}")
        if not 128 <= self.height <= 4096:
            raise ValueError(f"height must lie between 128 and 4096 pixels; got {self.height}")
        for name in ("squared_s1", "askew", "spondylosis"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must lie between 0 and 1; got {share}")


def write(folder: Path, order: Order, workers: int = 1) -> Iterator[int]:
    """Write what was ordered, or what is left of it; yields how many films and studies are done after each, in their order.

    The same order gives the same files with one worker or many.
    """
    (folder / _DONE).mkdir(parents=True, exist_ok=True)
    jobs: list[tuple[Callable[[Path, Order, int], dict[str, list[Row]]], int]] = []
    jobs += zip(repeat(_write_film), range(order.films), strict=False)
    jobs += zip(repeat(_write_study), range(order.studies), strict=False)
    made: dict[str, list[Row]] = {MANIFEST: [], MOTIONS: []}
    with worker_pool(workers) if workers > 1 else nullcontext() as pool:
        do = partial(_do, folder, order)
        for done, tables in enumerate(map(do, jobs) if pool is None else pool.map(do, jobs, chunksize=4), 1):
            for name, rows in tables.items():
                made[name] += rows
            yield done
    _write_table(folder / MANIFEST, (*_ABOUT_FILM, *_TRUTHS), made[MANIFEST])
    if order.studies:
        _write_table(folder / MOTIONS, _MOTION, made[MOTIONS])
    shutil.rmtree(folder / _DONE)


def _do(
    folder: Path, order: Order, job: tuple[Callable[[Path, Order, int], dict[str, list[Row]]], int]
) -> dict[str, list[Row]]:
    cv2.setNumThreads(1)
    make, index = job
    about = (
        f"{order.seed}-{index}-{order.height}-{order.format}-{order.squared_s1:g}-{order.askew:g}-{order.spondylosis:g}"
    )
    note = folder / _DONE / f"{make.__name__.strip('_')}-{about}.json"
    if note.exists():
        tables: dict[str, list[Row]] = json.loads(note.read_text())
        return tables
    tables = make(folder, order, index)
    with written_aside(note) as aside:
        aside.write_text(json.dumps(tables))
    return tables


def _write_film(folder: Path, order: Order, index: int) -> dict[str, list[Row]]:
    photographs = PHOTOGRAPHS if order.format == "png" else 0.0
    film = simulate(
        order.seed,
        index,
        order.height,
        photographs=photographs,
        squared_s1=order.squared_s1,
        askew=order.askew,
        spondylosis=order.spondylosis,
    )
    path = folder / f"film_{index:05d}.{'png' if order.format == 'png' else 'dcm'}"
    if order.format == "png":
        pixels = film.annotated.radiograph.pixels
        colours = np.random.default_rng([order.seed, index, 2])
        deep = np.rint(pixels * 65535).astype(np.uint16)
        _write_png(path, tinted(pixels, colours) if film.photographed else deep)
    else:
        _write_dicom(path, film, order.seed, index)
    write_landmarks(path.with_suffix(".csv"), film.annotated.landmarks_px, _labels(film.spine))
    return {MANIFEST: [_row(path.name, film, order.seed, index)]}


def _write_study(folder: Path, order: Order, index: int) -> dict[str, list[Row]]:
    home = folder / f"study_{index:05d}"
    home.mkdir(exist_ok=True)
    films = simulate_study(order.seed, index, order.height)
    rows = []
    for posture, film in films.items():
        path = home / f"{posture}.dcm"
        _write_dicom(path, film, order.seed, index)
        write_landmarks(path.with_suffix(".csv"), film.annotated.landmarks_px, _labels(film.spine))
        rows.append(_row(f"{home.name}/{path.name}", film, order.seed, index))
    return {MANIFEST: rows, MOTIONS: _motions(home.name, films, order.seed, index)}


def _write_dicom(path: Path, film: SimulatedFilm, seed: int, index: int) -> None:
    from lumbar.dicom import write_dx

    beam = film.beam
    write_dx(
        path,
        film.annotated.radiograph,
        imager_spacing_mm=beam.pixel_mm * beam.magnification,
        source_to_detector_mm=beam.source_to_detector_mm,
        source_to_object_mm=beam.source_to_patient_mm,
        series_description=f"L-SPINE LATERAL {film.posture.upper()}",
        study_uid=generate_uid(entropy_srcs=["lumbar simulated study", str(seed), str(index)]),
        patient_id=f"SIMULATED-{seed}-{index}",
        patient_name="Simulated^Patient",
        seed=seed,
    )


def _write_png(path: Path, pixels: NDArray[np.uint8 | np.uint16]) -> None:
    done, data = cv2.imencode(".png", pixels)
    assert done
    with written_aside(path) as aside:
        aside.write_bytes(data.tobytes())


def _labels(spine: Spine) -> dict[str, int]:
    """BUU's slip labels of the vertebrae that slipped: 3 forwards, 4 backwards."""
    return {f.at: 3 if f.slip > 0 else 4 for f in spine.findings if f.slip and f.at.startswith("L")}


def _row(name: str, film: SimulatedFilm, seed: int, index: int) -> Row:
    """What is true of this film: measured on its exact corners, as a reader without error would."""
    annotated, beam = film.annotated, film.beam
    radiograph, spacing = annotated.radiograph, annotated.radiograph.spacing
    about = (
        name, seed, index, film.posture, annotated.anterior, radiograph.width, radiograph.height,
        *(["", ""] if spacing is None else [f"{spacing.row_mm:.8g}", f"{spacing.column_mm:.8g}"]),
        f"{beam.source_to_detector_mm:.2f}", f"{beam.source_to_patient_mm:.2f}", int(film.photographed),
        *(f"{edge:.2f}" for edge in film.box.edges), "; ".join(map(str, film.spine.findings)),
    )  # fmt: skip
    spine = SpineLandmarks.exact(annotated.landmarks_px).to_anatomical(annotated.anterior, spacing)
    found = [*measure(spine), measure_lordosis(spine)]
    truths = {f"{m.quantity} {m.site}": f"{round(m.value, 4) + 0.0:.4f}" for m in found if isinstance(m, Measurement)}
    return {**dict(zip(_ABOUT_FILM, map(str, about), strict=True)), **truths}


def _motions(name: str, films: dict[Posture, SimulatedFilm], seed: int, index: int) -> list[Row]:
    """How each level of the patient moves from extension to flexion, in the patient's own median planes, and what that is called.

    No film, no magnification and no reader comes into it: it is the truth that a reading of the films is to be held against.
    """
    flexion, extension = (in_own_plane(films[p].flat_mm) for p in (Posture.FLEXION, Posture.EXTENSION))
    changes = measure_changes(flexion, extension)
    rows = []
    for change, level in zip(changes, assess_stability(changes), strict=True):
        figures = [
            "" if isinstance(moved, Unmeasurable) else f"{round(moved.value, 4) + 0.0:.4f}"
            for moved in (change.translation, change.angulation)
        ]
        about = (name, str(seed), str(index), change.site, *figures, str(level.verdict))
        rows.append(dict(zip(_MOTION, about, strict=True)))
    return rows


def in_own_plane(flat_mm: FloatArray) -> AnatomicalSpine:
    """The corners (22, 2) in mm before any coronal curve: what the measurements are of."""
    return AnatomicalSpine(flat_mm, np.zeros((len(flat_mm), 2, 2)), True)


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with written_aside(path) as aside, aside.open("w", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(rows)


def contact_sheet(films: Sequence[Path], tile_px: int = 420, columns: int = 6) -> np.ndarray:
    """Written films side by side with their corners, (H, W, 3) uint8 RGB."""
    from lumbar.films import open_film
    from lumbar.landmarks.table import read_landmarks

    tiles = []
    for path in films:
        pixels, points = open_film(path).pixels, read_landmarks(path.with_suffix(".csv"))
        scale = tile_px / max(pixels.shape)
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        tile = np.repeat(np.rint(small * 255).astype(np.uint8)[..., None], 3, axis=2)
        for x, y in points[~np.isnan(points[:, 0])] * scale:
            cv2.circle(tile, (round(x), round(y)), 2, (0, 230, 0), -1, cv2.LINE_AA)
        height, width = tile.shape[:2]
        tiles.append(np.pad(tile, ((0, tile_px - height), (0, tile_px - width), (0, 0)), constant_values=24))
    tiles += [np.full((tile_px, tile_px, 3), 24, np.uint8)] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)])
