"""What `--dicom-out` and `--deidentify` add to the commands that read films."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lumbar.anatomy import Posture
from lumbar.cli.terminal import pacs_room
from lumbar.radiograph import UnreadableFilm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom import Dataset

    from lumbar.pacs.deidentify import Pseudonyms
    from lumbar.reading import Reading
    from lumbar.study import StudyAssessment


@dataclass(frozen=True, slots=True)
class Export:
    """Under which names results are written, and whether as DICOM too.

    pseudonyms: where everything is to be de-identified, else None.
    """

    dicom: bool
    pseudonyms: Pseudonyms | None

    @classmethod
    def of(cls, dicom_out: bool, deidentify: bool) -> Export:
        """By the options; ends the command where packages are missing."""
        if not (dicom_out or deidentify):
            return cls(False, None)
        pacs_room()
        from lumbar.pacs.deidentify import Pseudonyms

        return cls(dicom_out, Pseudonyms() if deidentify else None)

    def name(self, film: Path) -> str:
        """The file's name in all that is written."""
        return film.name if self.pseudonyms is None else f"{self.pseudonyms.name(str(film))}{film.suffix.lower()}"

    def write_results(
        self, film: Path, out: Path, reading: Reading, overlay: NDArray[np.uint8], pdf: bytes | None
    ) -> None:
        """The DICOM objects of one film, and its de-identified copy where that was asked for.

        Raises UnreadableFilm where the film's header does not allow it.
        """
        if not self.dicom:
            return
        from lumbar.pacs.results import results_of, write_objects

        header = self._header(film, out)
        write_objects(out, Path(reading.film).stem, results_of(header, reading, overlay, pdf))

    def write_study(
        self, study: StudyAssessment, readings: Mapping[Posture, Reading], films: Mapping[Posture, Path], out: Path
    ) -> None:
        """One report on all films of a study. Raises UnreadableFilm as `write_results` does."""
        from lumbar.pacs.results import write_objects
        from lumbar.pacs.sr_out import study_report

        headers = {posture: self._header(film, out) for posture, film in films.items()}
        write_objects(out, "study", {"report": study_report(study, dict(readings), headers)})

    def _header(self, film: Path, out: Path) -> Dataset:
        from lumbar.films import is_dicom
        from lumbar.pacs.deidentify import deidentified_film, write_film
        from lumbar.pacs.header import film_header, header_of

        if not is_dicom(film):
            raise UnreadableFilm(
                "no DICOM results: the film is a picture, so they would belong to no study",
                "read the DICOM file that it came from",
            )
        if self.pseudonyms is None:
            return film_header(film)
        copy = deidentified_film(film, self.pseudonyms)
        write_film(out / f"{Path(self.name(film)).stem}.film.dcm", copy)
        return header_of(copy)
