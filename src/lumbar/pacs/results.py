"""Everything that is made of one film or one study for the PACS, as files."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite

from lumbar.images import libraries_silenced
from lumbar.pacs.gsps import NoPresentation, presentation_state
from lumbar.pacs.pictures import encapsulated_pdf, secondary_capture
from lumbar.pacs.sr_out import reading_origin, reading_report
from lumbar.reading import Reading
from lumbar.whole_file import written_aside


def results_of(
    header: Dataset,
    reading: Reading,
    overlay: NDArray[np.uint8] | None,
    pdf: bytes | None = None,
    corrects: Dataset | None = None,
) -> dict[str, Dataset]:
    """Report, presentation (unless the film is in colour), and what is given of overlay and pdf: kind -> DICOM object.

    header: of the film. overlay: as `report.draw_overlay` draws it. corrects: the earlier report, where a reader corrected it.
    """
    with libraries_silenced():  # highdicom quotes names that it finds odd
        origin = reading_origin(header, reading, corrects)
        made = {"report": reading_report(header, reading, corrects)}
        with suppress(NoPresentation):
            made["presentation"] = presentation_state(header, reading, origin)
        if overlay is not None:
            made["overlay"] = secondary_capture(header, reading, overlay, origin)
        if pdf is not None:
            made["pdf"] = encapsulated_pdf(header, reading, pdf, origin)
    return made


def write_objects(folder: Path, stem: str, objects: Mapping[str, Dataset]) -> list[Path]:
    """Each object as <stem>.<kind>.dcm, on the disk as a whole when this returns."""
    paths = []
    for kind, dataset in objects.items():
        path = folder / f"{stem}.{kind}.dcm"
        with written_aside(path) as aside, aside.open("wb") as file:
            file.write(as_file(dataset))
            file.flush()
            os.fsync(file.fileno())
        paths.append(path)
    return paths


def as_file(dataset: Dataset) -> bytes:
    """The object as a DICOM file has it."""
    written = io.BytesIO()
    with libraries_silenced():
        dcmwrite(written, dataset, enforce_file_format=True)
    return written.getvalue()
