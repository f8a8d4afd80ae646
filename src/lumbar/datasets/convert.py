"""From one format of annotations into another; films are neither moved nor copied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lumbar.datasets.annotation import Annotation
from lumbar.datasets.buu_lspine import BuuFolder
from lumbar.datasets.case import FILM_SUFFIXES, Case, files_in, films_in
from lumbar.datasets.coco import read_coco, write_coco
from lumbar.datasets.labelme import read_labelme, write_labelme
from lumbar.datasets.studies import StudyFolder, study_folders_in
from lumbar.datasets.yolo import data_yaml, read_yolo_pose, write_yolo_box, write_yolo_pose
from lumbar.films import open_film
from lumbar.landmarks.table import write_landmarks
from lumbar.radiograph import UnreadableFilm
from lumbar.whole_file import written_aside

Unread = Callable[[], Annotation]
"""An annotation that is read when it is called for, which may mean opening its film."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a format is, how it is read and how it is written.

    find: what is in a folder or file; None where corners cannot be had from it. write: into a folder or file.
    """

    about: str
    find: Callable[[Path], Sequence[Unread]] | None
    write: Callable[[Path, Sequence[Annotation]], None]


def convert(
    source: Path,
    source_format: str,
    target: Path,
    target_format: str,
    each: Callable[[Sequence[Unread]], Iterable[Unread]] = lambda unread: unread,
) -> int:
    """Read `source` and write `target`; returns how many films.

    source, target: a folder, for "coco" a JSON file. each: what goes through the films, such as a progress bar.
    Raises ValueError for a format that is not allowed, two films that would share a file, a film that cannot be read for
    its size, or anything malformed in `source`; the file is named.
    """
    reading, writing = _format("source_format", source_format), _format("target_format", target_format)
    if reading.find is None:
        able = ", ".join(name for name, entry in FORMATS.items() if entry.find)
        raise ValueError(f"source_format must be one of {able}; {source_format!r} holds no corners")
    annotations = [read() for read in each(reading.find(source))]
    writing.write(target, annotations)
    return len(annotations)


def annotation_of(case: Case) -> Annotation:
    """A case's corners; its film is opened for the size."""
    try:
        film = case.open()
    except UnreadableFilm as problem:
        raise ValueError(f"{case.name}: {problem}") from None
    return Annotation(case.name, film.radiograph.width, film.radiograph.height, film.landmarks_px)


def _format(argument: str, name: str) -> Format:
    if name not in FORMATS:
        raise ValueError(f"{argument} must be one of {', '.join(FORMATS)}; got {name!r}")
    return FORMATS[name]


def _find_buu(source: Path) -> list[Unread]:
    studies = source.is_dir() and study_folders_in(source)
    cases = StudyFolder.open(source).cases if studies else BuuFolder.open(source).cases
    return [partial(annotation_of, case) for case in cases if case.table is not None]


def _find_coco(source: Path) -> list[Unread]:
    if not source.is_file():
        raise ValueError(f"a COCO source must be a JSON file; got {source}")
    return [partial(_itself, annotation) for annotation in read_coco(source)]


def _find_labelme(source: Path) -> list[Unread]:
    files_in(source)  # refuses what is no folder
    paths = sorted(path for path in source.rglob("*.json") if not path.name.startswith("."))
    if not paths:
        raise ValueError(f"{source} holds no LabelMe file (.json)")
    return [partial(read_labelme, path, source) for path in paths]


def _find_yolo_pose(source: Path) -> list[Unread]:
    """Labels beside the films, or in labels/ with the films in images/."""
    split = (source / "images").is_dir() and (source / "labels").is_dir()
    labels, films = (source / "labels", source / "images") if split else (source, source)
    pairs = [(labels / f"{film.stem}.txt", film) for film in films_in(films)]
    found = [partial(_yolo_pose, path, film) for path, film in pairs if path.is_file()]
    if not found:
        raise ValueError(
            f"{source} holds no film ({', '.join(FILM_SUFFIXES)}) with a .txt of the same name beside it, "
            "or in labels/ and images/"
        )
    return list(found)


def _yolo_pose(path: Path, film: Path) -> Annotation:
    try:
        radiograph = open_film(film)
    except UnreadableFilm as problem:
        raise ValueError(f"{film.name}: {problem}") from None
    width, height = radiograph.width, radiograph.height
    return Annotation(film.name, width, height, read_yolo_pose(path, width, height))


def _itself(annotation: Annotation) -> Annotation:
    return annotation


def _write_each(
    suffix: str, write: Callable[[Path, Annotation], None], target: Path, annotations: Sequence[Annotation]
) -> None:
    first: dict[Path, Annotation] = {}
    for annotation in annotations:
        path = annotation.beside(target, suffix)
        if (other := first.setdefault(path, annotation)) is not annotation:
            raise ValueError(f"{annotation.film} and {other.film} would both be written as {path.name}; rename one")
    for path, annotation in first.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, annotation)


def _write_csv(path: Path, annotation: Annotation) -> None:
    write_landmarks(path, annotation.points_px)


def _write_yolo_pose(target: Path, annotations: Sequence[Annotation]) -> None:
    _write_each(".txt", write_yolo_pose, target, annotations)
    with written_aside(target / "data.yaml") as aside:
        aside.write_text(data_yaml(), encoding="utf-8")


FORMATS: dict[str, Format] = {
    "buu": Format(
        "BUU-LSPINE's csv beside each film, or studies of them", _find_buu, partial(_write_each, ".csv", _write_csv)
    ),
    "coco": Format("COCO keypoints, one JSON file", _find_coco, write_coco),
    "labelme": Format("LabelMe JSON beside each film", _find_labelme, partial(_write_each, ".json", write_labelme)),
    "yolo-pose": Format("YOLO box and keypoints, a txt for each film", _find_yolo_pose, _write_yolo_pose),
    "yolo": Format(
        "YOLO box, a txt for each film; cannot be read for corners", None, partial(_write_each, ".txt", write_yolo_box)
    ),
}
"""The formats by the names that the command line takes."""
