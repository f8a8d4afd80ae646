"""A study of DICOM films as DICOM results: reports, presentations and overlays in one ZIP file."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator

from pydicom import Dataset

from lumbar.films import is_dicom, open_film
from lumbar.report import draw_overlay
from lumbar.serving.exported import ExportedFilm, ExportedStudy

_DOS_EPOCH = (1980, 1, 1, 0, 0, 0)  # when it was made stands in the objects


class NoDicom(RuntimeError):
    """The packages that write DICOM results are not there."""


def as_dicom(study: ExportedStudy) -> bytes:
    """What `lumbar read --dicom-out` and `assess --dicom-out` write, in a ZIP.

    Where a reader corrected a film, it holds the report of the first reading and one that names it as its predecessor, as after
    `lumbar measure`. Raises ValueError where a film came as a picture, or its header allows no results; NoDicom, with the remedy, without lumbar[pacs].
    """
    for film in study.films:
        if not is_dicom(film.file):
            raise ValueError(
                f"{film.film.name} came as a picture, so that its results would belong to no patient; "
                "send the DICOM file that it came from, or export the study in another format"
            )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _objects(study):
            archive.writestr(zipfile.ZipInfo(name, _DOS_EPOCH), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _objects(study: ExportedStudy) -> Iterator[tuple[str, bytes]]:
    try:
        from lumbar.pacs.header import film_header
        from lumbar.pacs.results import as_file
        from lumbar.pacs.sr_out import study_report
    except ImportError:
        raise NoDicom("DICOM needs more packages; install them with: pip install 'lumbar[pacs]'") from None

    headers = [film_header(film.file) for film in study.films]
    for i, (film, header) in enumerate(zip(study.films, headers, strict=True), start=1):
        yield from _of_film(f"film_{i}", film, header)
    if study.motion.assessment is not None:
        roles = study.motion.roles
        report = study_report(
            study.motion.assessment,
            {role: study.films[i].reading for i, role in roles.items()},
            {role: headers[i] for i, role in roles.items()},
            [_points_of(film) for film in study.films if film.row.version > 1],
        )
        yield "study.report.dcm", as_file(report)


def _of_film(stem: str, film: ExportedFilm, header: Dataset) -> Iterator[tuple[str, bytes]]:
    from lumbar.pacs.results import as_file, results_of
    from lumbar.pacs.sr_out import reading_report

    corrects = None
    if film.row.version > 1:
        corrects = reading_report(header, film.first)
        yield f"{stem}.first.report.dcm", as_file(corrects)
    overlay = draw_overlay(open_film(film.file, film.reading.spacing), film.reading)
    for kind, result in results_of(header, film.reading, overlay, corrects=corrects).items():
        yield f"{stem}.{kind}.dcm", as_file(result)


def _points_of(film: ExportedFilm) -> str:
    return hashlib.sha256(film.reading.landmarks.points_px.tobytes()).hexdigest()
