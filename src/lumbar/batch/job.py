"""A job: films in shards, how they are read, and what tells it from another job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from lumbar.anatomy import Side
from lumbar.batch.film_list import ListedFilm
from lumbar.batch.place import Place
from lumbar.pipeline import Reader
from lumbar.radiograph import PixelSpacing
from lumbar.reading import installed_version
from lumbar.runtime import FOLDER, weights_in

FORMAT = "lumbar.batch/1"
SHARDS, _ABOUT = "shards", "job.json"


class OtherJob(ValueError):
    """The place holds another job's files."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Films that are read by one process and written as one file."""

    index: int
    films: tuple[ListedFilm, ...]

    @property
    def together(self) -> list[list[ListedFilm]]:
        """Its films by study; one that is of none is alone."""
        numbered = ((film.study if film.study is not None else index, film) for index, film in enumerate(self.films))
        return [[film for _, film in group] for _, group in groupby(numbered, itemgetter(0))]

    @property
    def file(self) -> str:
        """The name of its films' file in `SHARDS`, which is written last."""
        return f"{self.index:07d}.parquet"

    @property
    def studies_file(self) -> str:
        """The name of its studies' file there, where films are read by study."""
        return f"{self.index:07d}.studies.parquet"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a film is read: what a worker, here or on another machine, has to know besides its shard.

    spacing: (row, column) in mm, in place of what files and lists say. weights: a folder that every worker finds; None: those
    shipped. precision, device: of `runtime.PRECISIONS` and `runtime.DEVICES`. sha256: of the weights, by stage, which a worker's own must have.
    criteria: of `assessment.CRITERIA`, by which the levels of a study are judged; None: films are read one by one.
    """

    place: Place
    sha256: Mapping[str, str]
    spacing: tuple[float, float] | None = None
    facing: Side | None = None
    weights: str | None = None
    precision: str = "fp32"
    device: str = "cpu"
    criteria: str | None = None

    def given_spacing(self, film: ListedFilm) -> PixelSpacing | None:
        """What the film's own pixel spacing is overridden by."""
        return film.spacing if self.spacing is None else PixelSpacing(*self.spacing, "--spacing", "patient")

    @property
    def facing_source(self) -> str:
        """One of `reading.FACING_SOURCES`, for films whose facing is known before they are read."""
        return "DICOM" if self.facing is None else "--facing"

    def open_reader(self) -> Reader:
        """A reader on one thread, of a process that has no other. Raises ValueError where the weights here are not the job's."""
        import cv2

        cv2.setNumThreads(1)
        reader = Reader.of(
            weights_in(FOLDER if self.weights is None else Path(self.weights), self.precision), 1, self.device
        )
        if reader.sha256 != self.sha256:
            raise ValueError("the weights of this worker are not the job's: install the same version on all machines")
        return reader


@dataclass(frozen=True, slots=True)
class Job:
    """films: in the order of the tables, those of a study one after the other. shard_films: how many a process reads between two files that it writes.

    A study is not torn apart: its shard is then larger.
    """

    films: Sequence[ListedFilm]
    settings: Settings
    shard_films: int = 32

    def shards(self) -> Iterator[Shard]:
        """All of them."""
        index, films = 0, list[ListedFilm]()
        for film in self.films:
            if len(films) >= self.shard_films and (film.study is None or film.study != films[-1].study):
                yield Shard(index, tuple(films))
                index, films = index + 1, []
            films.append(film)
        if films:
            yield Shard(index, tuple(films))

    def left(self) -> list[Shard]:
        """Those that are not written yet."""
        done = self.settings.place.names(SHARDS)
        return [shard for shard in self.shards() if shard.file not in done]

    def begin(self) -> None:
        """Claim the place for this job, or find it there already. Raises OtherJob where the place holds a different one."""
        about = self.about()
        there = self.settings.place.read(_ABOUT)
        if there is None:
            self.settings.place.write(_ABOUT, (json.dumps(about, indent=1) + "\n").encode())
            return
        try:
            found = json.loads(there)
        except ValueError:
            raise OtherJob(f"{self.settings.place.path(_ABOUT)} is not a job's: give another --out") from None
        differing = [key for key in about if found.get(key) != about[key]]
        if differing:
            raise OtherJob(
                f"--out must be empty or hold the same job; {self.settings.place.url} holds one whose "
                f"{', '.join(differing)} {'is' if len(differing) == 1 else 'are'} different: give another --out"
            )

    def about(self) -> dict[str, object]:
        """What must be the same for its shards to be this job's."""
        digest = hashlib.sha256()
        for film in self.films:
            of_study = () if film.study is None else (film.study,)
            digest.update(json.dumps([film.name, film.row_mm, film.column_mm, *of_study]).encode())
        settings = self.settings
        return {
            "format": FORMAT,
            "films": len(self.films),
            "films_sha256": digest.hexdigest(),
            "shard_films": self.shard_films,
            "spacing": None if settings.spacing is None else list(settings.spacing),
            "facing": settings.facing,
            "device": settings.device,
            "criteria": settings.criteria,
            "weights": dict(sorted(settings.sha256.items())),
            "software_version": installed_version(),
        }
