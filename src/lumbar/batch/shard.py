"""One shard: its films opened ahead of the networks, read one by one or study by study, and written as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lumbar.batch.film_list import ListedFilm
from lumbar.batch.job import SHARDS, Settings, Shard
from lumbar.batch.place import at_hand
from lumbar.batch.studies import row_of_failed_study, row_of_study
from lumbar.batch.tables import Counts, row_of, row_of_failure, shard_file, studies_file
from lumbar.films import open_film, patient_of, unlike_the_first, why_no_study
from lumbar.pipeline import Reader
from lumbar.radiograph import Radiograph, UnreadableFilm
from lumbar.reading import Reading
from lumbar.worker_processes import give_back_memory

_NO_MEMORY = "not enough memory for this film; export it smaller"


@dataclass(frozen=True, slots=True)
class Opened:
    """A film with its pixels, or with the reason why there are none. patient: a token of whose it is, where the file says so and that matters."""

    film: ListedFilm
    outcome: Radiograph | str
    patient: str | None = None


Rows = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Of films, and of studies."""


def read_shard(reader: Reader, settings: Settings, shard: Shard) -> Counts:
    """Read the shard's films and write its files. A film that cannot be read becomes a row with the reason."""
    ahead = _ahead(settings, shard.films)
    return _write(settings, shard, [_rows(reader, settings, [next(ahead) for _ in films]) for films in shard.together])


def read_shard_warily(
    reader: Reader, settings: Settings, shard: Shard, begun: Callable[[int], None], deadly: Mapping[int, str]
) -> Counts:
    """The same, for a shard at which a process died: one thing at a time.

    begun: is told the index of each film, or of a study's first, before any of it is touched. deadly: reasons not to touch some at all.
    """
    parts, index = [], 0
    for films in shard.together:
        if index in deadly:
            opened = [Opened(film, deadly[index]) for film in films]
        else:
            begun(index)
            opened = [_opened(settings, film) for film in films]
        parts.append(_rows(reader, settings, opened))
        index += len(films)
    return _write(settings, shard, parts)


def _write(settings: Settings, shard: Shard, parts: Sequence[Rows]) -> Counts:
    films, studies = ([row for part in parts for row in part[kind]] for kind in (0, 1))
    if settings.criteria is not None:
        settings.place.write(f"{SHARDS}/{shard.studies_file}", studies_file(studies))
    settings.place.write(f"{SHARDS}/{shard.file}", shard_file(films))
    give_back_memory()
    return Counts.of([row["status"] for row in films], [row["status"] for row in studies])


def _rows(reader: Reader, settings: Settings, films: Sequence[Opened]) -> Rows:
    """Of films that belong together: those of a study, or one that is of none."""
    study = films[0].film.study
    if study is None or settings.criteria is None:
        return [_row(opened, _read(reader, settings, opened)) for opened in films], []
    readings = _read_together(reader, settings, films)
    rows = [_row(*pair) for pair in zip(films, readings, strict=True)]
    if others := unlike_the_first([(opened.film.name, opened.patient) for opened in films]):
        return rows, [row_of_failed_study(study, why_no_study(others))]
    read = {o.film.name: reading for o, reading in zip(films, readings, strict=True) if isinstance(reading, Reading)}
    return rows, [row_of_study(study, read, settings.criteria)]


def _row(opened: Opened, reading: Reading | str) -> dict[str, Any]:
    name = opened.film.name
    return row_of_failure(name, reading) if isinstance(reading, str) else row_of(name, reading)


def _read(reader: Reader, settings: Settings, opened: Opened) -> Reading | str:
    """The film's reading, or why there is none."""
    if isinstance(opened.outcome, str):
        return opened.outcome
    try:
        return reader.read(opened.outcome, opened.film.name, settings.facing_source)
    except MemoryError:
        return _NO_MEMORY


def _read_together(reader: Reader, settings: Settings, films: Sequence[Opened]) -> list[Reading | str]:
    """Readings of a patient's films, whose vertebrae bear the same names on all; where they are no two or three, or of several patients, each alone."""
    shown = {index: opened.outcome for index, opened in enumerate(films) if isinstance(opened.outcome, Radiograph)}
    others = unlike_the_first([(opened.film, opened.patient) for opened in films])
    if others or len(shown) not in (2, 3):
        return [_read(reader, settings, opened) for opened in films]
    names = [films[index].film.name for index in shown]
    found: list[Reading | str] = [str(opened.outcome) for opened in films]
    try:
        read: Sequence[Reading | str] = reader.read_together(list(shown.values()), names, settings.facing_source)
    except MemoryError:
        read = [_NO_MEMORY] * len(shown)
    for index, reading in zip(shown, read, strict=True):
        found[index] = reading
    return found


def _ahead(settings: Settings, films: Sequence[ListedFilm]) -> Iterator[Opened]:
    """Each film with its pixels, the next one being fetched and decoded while the last one is read."""
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(_opened, settings, films[0])
        for index in range(len(films)):
            opened = following.result()
            if index + 1 < len(films):
                following = ahead.submit(_opened, settings, films[index + 1])
            yield opened


def _opened(settings: Settings, film: ListedFilm) -> Opened:
    try:
        with at_hand(film.path) as path:
            radiograph = open_film(path, settings.given_spacing(film))
            patient = None if film.study is None else patient_of(path)
        return Opened(film, radiograph if settings.facing is None else radiograph.facing(settings.facing), patient)
    except UnreadableFilm as problem:
        return Opened(film, str(problem))
    except MemoryError:
        return Opened(film, _NO_MEMORY)
    except Exception as problem:  # whatever an object store's client raises: it must not cost the films beside it
        said = getattr(problem, "strerror", None) or problem or type(problem).__name__
        return Opened(film, f"{said}; check that it can be reached")
