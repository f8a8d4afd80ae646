"""What is exported, before it has a format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lumbar.reading import Reading
from lumbar.serving.models import FilmRow, ReadingRow
from lumbar.serving.motion import Motion
from lumbar.serving.store import StudyRecord


@dataclass(frozen=True, slots=True)
class ExportedFilm:
    """A film with the newest version of its reading, and the first. file: its bytes as they came, named after their SHA-256."""

    film: FilmRow
    row: ReadingRow
    reading: Reading
    first: Reading
    file: Path


@dataclass(frozen=True, slots=True)
class ExportedStudy:
    """All that a format may need. `motion.roles` names the posture of a film by its place in `films`."""

    record: StudyRecord
    films: tuple[ExportedFilm, ...]
    motion: Motion

    @property
    def signed(self) -> list[str]:
        """Who signed these very versions, in sentences; says so where nobody did."""
        current = {film.film.id: film.row.version for film in self.films}
        signed = [off for off in self.record.sign_offs if off.versions == current]
        return [f"Signed by {off.author} at {off.made_at}. {off.comment}".rstrip() for off in signed] or ["Not signed."]
