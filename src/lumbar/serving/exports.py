"""A signed or unsigned study as files: `EXPORTS` says in which formats."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lumbar.anatomy import Posture
from lumbar.films import open_film
from lumbar.measurements import Measurement
from lumbar.reading import NOTICE
from lumbar.report import as_pdf, draw_overlay, reading_page, study_page
from lumbar.serving.dicom_export import as_dicom
from lumbar.serving.exported import ExportedStudy
from lumbar.serving.views import sign_off_view

FORMAT = "lumbar.desk/1"


@dataclass(frozen=True, slots=True)
class Export:
    """media_type and suffix of the file; make: the study -> its bytes. Raises ValueError where the study cannot be said in this format."""

    media_type: str
    suffix: str
    make: Callable[[ExportedStudy], bytes]


def as_json(study: ExportedStudy) -> bytes:
    """Every film's reading as `lumbar read` writes it, with its version, author and time; the assessment; all sign-offs."""
    found = study.motion.assessment
    document = {
        "format": FORMAT,
        "notice": NOTICE,
        "name": study.record.study.name,
        "status": study.record.status,
        "films": [
            {
                "posture": study.motion.roles.get(i),
                "version": film.row.version,
                "author": film.row.author,
                "made_at": film.row.made_at,
                "sha256": film.film.sha256,
                "reading": json.loads(film.reading.to_json()),
            }
            for i, film in enumerate(study.films)
        ],
        "study": {"reason": study.motion.reason} if found is None else json.loads(found.to_json()),
        "sign_offs": [asdict(sign_off_view(off)) for off in study.record.sign_offs],
    }
    return json.dumps(document, indent=2, allow_nan=False).encode() + b"\n"


def as_csv(study: ExportedStudy) -> bytes:
    """One row a figure: of each film, then of the motion. Texts that a spreadsheet would take for a formula get an apostrophe."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["film", "posture", "version", "quantity", "site", "value", "unit", "standard_error", "reason"])
    for i, film in enumerate(study.films):
        about = [_plain(film.film.name), study.motion.roles.get(i, ""), film.row.version]
        for entry in film.reading.measurements:
            table.writerow([*about, entry.quantity, entry.site, *_figure(entry)])
    if study.motion.assessment is not None:
        for level in study.motion.assessment.levels:
            for change in level.change.figures:
                name = f"{change.quantity}_change"
                table.writerow(["", "flexion - extension", "", name, level.site, *_figure(change)])
            for said in level.stability:
                chance = "" if said.probability is None else said.probability
                quantity = f"unstable by {said.criteria}: {said.verdict}"
                table.writerow(
                    ["", "flexion - extension", "", quantity, level.site, chance, "probability", "", said.reason or ""]
                )
    return text.getvalue().encode()


def as_html(study: ExportedStudy) -> bytes:
    """The page that `lumbar assess` writes, or, where nothing can be said of motion, that of `lumbar read` for the first film."""
    return _page(study).encode()


def as_pdf_file(study: ExportedStudy) -> bytes:
    """The same page on A4."""
    return as_pdf(_page(study))


def _page(study: ExportedStudy) -> str:
    overlays = [draw_overlay(open_film(film.file, film.reading.spacing), film.reading) for film in study.films]
    found = study.motion.assessment
    if found is None:
        return reading_page(study.films[0].reading, overlays[0], study.signed)
    by_posture: Mapping[Posture, Any] = {study.motion.roles[i]: overlay for i, overlay in enumerate(overlays)}
    return study_page(found, by_posture, study.signed)


def _figure(entry: Any) -> list[object]:
    if isinstance(entry, Measurement):
        error = "" if entry.standard_error is None else entry.standard_error
        return [entry.value, entry.unit, error, ""]
    return ["", "", "", entry.reason]


def _plain(text: str) -> str:
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


EXPORTS: dict[str, Export] = {
    "json": Export("application/json", ".json", as_json),
    "csv": Export("text/csv; charset=utf-8", ".csv", as_csv),
    "html": Export("text/html; charset=utf-8", ".html", as_html),
    "pdf": Export("application/pdf", ".pdf", as_pdf_file),
    "dicom": Export("application/zip", ".dicom.zip", as_dicom),
}
"""Formats by the name that the address and the desk use. A further format is a function from `ExportedStudy` and a row here."""
