"""One shard: its films opened ahead of the networks, read, and written as one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lumbar.batch.film_list import ListedFilm
from lumbar.batch.job import SHARDS, Settings, Shard
from lumbar.batch.place import at_hand
from lumbar.batch.tables import Counts, row_of, row_of_failure, shard_file
from lumbar.films import open_film
from lumbar.pipeline import Reader
from lumbar.radiograph import Radiograph, UnreadableFilm
from lumbar.worker_processes import give_back_memory

Outcome = Radiograph | str
"""A film, or why there is none."""


def read_shard(reader: Reader, settings: Settings, shard: Shard) -> Counts:
    """Read the shard's films and write its file. A film that cannot be read becomes a row with the reason."""
    opened = _opened_ahead(settings, shard.films)
    return _write(settings, shard, [_row(reader, settings, film, outcome) for film, outcome in opened])


def read_shard_warily(
    reader: Reader, settings: Settings, shard: Shard, begun: Callable[[int], None], deadly: Mapping[int, str]
) -> Counts:
    """The same, for a shard at which a process died: one thing at a time.

    begun: is told the index of each film before any of it is touched. deadly: reasons not to touch some films at all.
    """
    rows = []
    for index, film in enumerate(shard.films):
        if index in deadly:
            rows.append(row_of_failure(film.name, deadly[index]))
        else:
            begun(index)
            rows.append(_row(reader, settings, film, _opened(settings, film)))
    return _write(settings, shard, rows)


def _write(settings: Settings, shard: Shard, rows: Sequence[Mapping[str, Any]]) -> Counts:
    settings.place.write(f"{SHARDS}/{shard.file}", shard_file(rows))
    give_back_memory()
    return Counts.of([row["status"] for row in rows])


def _row(reader: Reader, settings: Settings, film: ListedFilm, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, str):
        return row_of_failure(film.name, outcome)
    source = "DICOM" if settings.facing is None else "--facing"
    try:
        return row_of(film.name, reader.read(outcome, film.name, source))
    except MemoryError:
        return row_of_failure(film.name, "not enough memory for this film; export it smaller")


def _opened_ahead(settings: Settings, films: Sequence[ListedFilm]) -> Iterator[tuple[ListedFilm, Outcome]]:
    """Each film with its pixels, the next one being fetched and decoded while the last one is read."""
    with ThreadPoolExecutor(1) as ahead:
        following = ahead.submit(_opened, settings, films[0])
        for index, film in enumerate(films):
            outcome = following.result()
            if index + 1 < len(films):
                following = ahead.submit(_opened, settings, films[index + 1])
            yield film, outcome


def _opened(settings: Settings, film: ListedFilm) -> Outcome:
    try:
        with at_hand(film.path) as path:
            radiograph = open_film(path, settings.given_spacing(film))
        return radiograph if settings.facing is None else radiograph.facing(settings.facing)
    except UnreadableFilm as problem:
        return str(problem)
    except MemoryError:
        return "not enough memory for this film; export it smaller"
    except Exception as problem:  # whatever an object store's client raises: it must not cost the films beside it
        return (
            f"{getattr(problem, 'strerror', None) or problem or type(problem).__name__}; check that it can be reached"
        )
