"""The shards of a job, read by processes of this machine or by a Ray cluster: the files are the same to the last byte."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lumbar.batch.film_list import ListedFilm
from lumbar.batch.job import Job, Settings, Shard
from lumbar.batch.shard import read_shard, read_shard_warily
from lumbar.batch.tables import Counts
from lumbar.pipeline import Reader
from lumbar.worker_processes import worker_pool

DEADLY = "the process that read this film died, twice"

_AHEAD = 2  # shards a worker that are handed out at a time


def run_here(job: Job, workers: int) -> Iterator[Counts]:
    """Read the shards that are left with so many processes; yields the counts of each as it is written.

    A process that dies costs the films of its shard nothing but time: they are read again, in a process alone, and the film at
    which that dies twice is passed over with a reason.
    """
    left = iter(job.left())
    while True:
        suspects: list[Shard] = []
        yield from _in_one_pool(job.settings, left, workers, suspects)
        if not suspects:
            return
        for shard in suspects:
            yield _read_alone(job.settings, shard)


def _in_one_pool(settings: Settings, left: Iterator[Shard], workers: int, suspects: list[Shard]) -> Iterator[Counts]:
    """Shards until none is left, or until a process dies: those that were under way then are put into `suspects`."""
    under_way: dict[Future[Counts], Shard] = {}
    with worker_pool(workers, _ready, settings) as pool:
        while not suspects:
            while len(under_way) < _AHEAD * workers and (shard := next(left, None)) is not None:
                try:
                    under_way[pool.submit(_read, shard)] = shard
                except BrokenProcessPool:
                    suspects.append(shard)
                    break
            if not under_way:
                return
            for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                if isinstance(done.exception(), BrokenProcessPool):
                    suspects.append(under_way.pop(done))
                else:
                    del under_way[done]
                    yield done.result()
        for done, shard in under_way.items():  # all of them end when one process dies
            if isinstance(done.exception(), BrokenProcessPool):
                suspects.append(shard)
            else:
                yield done.result()


def _read_alone(settings: Settings, shard: Shard) -> Counts:
    """The shard in a process of its own, and in a new one where that dies."""
    deaths: Counter[int] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "film"
        while True:
            deadly = {index: DEADLY for index, count in deaths.items() if count > 1}
            note.unlink(missing_ok=True)
            try:
                with worker_pool(1, _ready, settings) as pool:
                    return pool.submit(_read_warily, shard, note, deadly).result()
            except BrokenProcessPool:
                if not note.exists():
                    raise RuntimeError("a process died before its first film: is there enough memory?") from None
                deaths[int(note.read_text())] += 1


_here: list[tuple[Reader, Settings]] = []
"""What a process keeps from one shard to the next."""


def _ready(settings: Settings) -> None:
    _here[:] = [(settings.open_reader(), settings)]


def _read(shard: Shard) -> Counts:
    return read_shard(*_here[0], shard)


def _read_warily(shard: Shard, note: Path, deadly: dict[int, str]) -> Counts:
    """`note` holds the index of the film that is being read."""

    def begun(index: int) -> None:
        note.write_text(str(index))

    return read_shard_warily(*_here[0], shard, begun, deadly)


def run_on_ray(job: Job, address: str, workers: int | None) -> Iterator[Counts]:
    """Read the shards that are left on a Ray cluster, an actor a processor; yields the counts of each as it is written.

    address: "local" starts a cluster on this machine for as long as this takes; else what `ray.init` takes. workers: actors; as
    many as the cluster has processors where None. The place, the films and the weights must be the same on all its machines. Ray
    starts an actor anew that died, and gives its shard to another.
    """
    ray = _quiet_ray()
    ray.init(
        address=None if address == "local" else address,
        num_cpus=workers if address == "local" else None,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
    )
    try:
        left = [{"index": shard.index, "films": [asdict(film) for film in shard.films]} for shard in job.left()]
        if not left:
            return
        actors = min(workers or int(ray.cluster_resources().get("CPU", 1)), len(left))
        read = ray.data.from_items(left, override_num_blocks=len(left)).map(
            _RayReader,
            fn_constructor_args=(job.settings,),
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=1,
        )
        for row in read.iter_rows():
            yield Counts(**row)
    finally:
        ray.shutdown()


def _quiet_ray() -> Any:
    """Ray, with nothing but errors on the terminal, for the progress is told here."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it warns of what Ray Data does by itself
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray


class _RayReader:
    """An actor: a reader that stays, and shards that come."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._reader = settings, settings.open_reader()

    def __call__(self, row: dict[str, Any]) -> dict[str, int]:
        films: Sequence[dict[str, Any]] = row["films"]
        counts = read_shard(
            self._reader, self._settings, Shard(int(row["index"]), tuple(ListedFilm(**f) for f in films))
        )
        return asdict(counts)
