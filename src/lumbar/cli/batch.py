"""`lumbar batch`: whole archives into tables, on this machine or on a Ray cluster."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lumbar.assessment import PAPER
from lumbar.cli.reading import criteria_called, parse_spacing
from lumbar.cli.terminal import (
    Device,
    Facing,
    Numbers,
    Precision,
    Processor,
    Spacing,
    WeightsFolder,
    or_usage,
    stderr,
    stdout,
    usage,
    weights_of,
)

if TYPE_CHECKING:
    from lumbar.batch import Counts

_WORD_EVERY_S = 60.0


def batch(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of films, or a CSV list with a column film (study, row_mm and column_mm, too, if need be)."
        ),
    ],
    out: Annotated[
        str, typer.Option(help="Folder for the tables. Like SOURCE a path, or a URL such as s3://bucket/folder.")
    ],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, each on one CPU thread; as many as there are processors.")
    ] = None,
    studies: Annotated[
        bool,
        typer.Option(
            "--studies",
            help="The films of each folder, or with the same entry in a list's column study, are flexion, extension and perhaps neutral of one patient: compare them.",
        ),
    ] = False,
    criteria: Annotated[
        str | None,
        typer.Option(
            help="With --studies: by what a level is called unstable, paper by default; see `lumbar criteria`."
        ),
    ] = None,
    shard: Annotated[int, typer.Option(min=1, help="Films a process reads between two files that it writes.")] = 32,
    spacing: Spacing = None,
    facing: Facing = None,
    weights: WeightsFolder = None,
    precision: Precision = Numbers.FP32,
    device: Device = Processor.CPU,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Read on this Ray cluster; 'local' starts one on this machine."),
    ] = None,
) -> None:
    """Read all films of SOURCE into tables: films, measurements (CSV and Parquet), failures; with --studies motions and verdicts, too.

    A run that was killed goes on where it stood when the same command is given again. The tables are the same to the last byte,
    however many processes or machines read the films.
    """
    from lumbar.runtime import sha256_of

    room = _batch_room(ray is not None)
    if criteria is not None and not studies:
        usage(f"--criteria is of studies: give --studies, too; got --criteria {criteria}")
    judged_by = criteria_called(criteria or PAPER.name).name if studies else None
    given = None if spacing is None else or_usage(lambda: parse_spacing(spacing))
    sha256 = sha256_of(weights_of(weights, precision))
    settings = room.Settings(
        room.Place(out if "://" in out else str(Path(out).resolve())),
        sha256,
        None if given is None else (given.row_mm, given.column_mm),
        facing,
        None if weights is None else str(weights.resolve()),
        precision.value,
        device.value,
        judged_by,
    )
    job = room.Job(or_usage(lambda: room.films_listed(source, studies)), settings, shard)
    try:
        or_usage(job.begin)
    except OSError as problem:
        usage(f"--out must be a folder that can be written to; got {out}: {problem.strerror or problem}")
    done = len(job.films) - sum(len(each.films) for each in job.left())
    here = workers or len(os.sched_getaffinity(0))
    steps = room.run_here(job, here) if ray is None else room.run_on_ray(job, ray, workers)
    try:
        _followed(steps, len(job.films), done)
        counts = room.write_tables(job)
    except (OSError, RuntimeError) as problem:
        stderr.print(f"stopped: {problem}; give the same command again to go on", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    stdout.print(
        f"{counts.films} films: {counts.read} read, {counts.no_spine} without a lumbar spine, {counts.failed} failed; "
        + (f"{counts.studies} studies: {counts.compared} compared, {counts.not_compared} not; " if studies else "")
        + f"tables in {out}",
        markup=False,
        soft_wrap=True,
    )
    if counts.failed:
        stderr.print(f"what failed, and why: {job.settings.place.path('failures.csv')}", markup=False, soft_wrap=True)
    if counts.not_compared:
        why = job.settings.place.path("studies.csv")
        stderr.print(f"which studies were not compared, and why: {why}", markup=False, soft_wrap=True)
    _leave(1 if counts.failed or counts.not_compared else 0)


def _leave(code: int) -> NoReturn:
    """End the process at once: everything is written, and threads of Arrow and Ray that still run would now and then abort it at its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _followed(steps: Iterator[Counts], films: int, done: int) -> None:
    """Under a progress bar, or, where stderr is no terminal, with a word every minute."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    began, spoke, new = time.monotonic(), time.monotonic(), 0
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task("reading", total=films, completed=done)
        for counts in steps:
            new += counts.films
            bar.update(task, completed=done + new)
            now = time.monotonic()
            if not stderr.is_terminal and now - spoke > _WORD_EVERY_S:
                minutes = (films - done - new) * (now - began) / new / 60
                stderr.print(f"{done + new} of {films} films, about {minutes:.0f} minutes left", soft_wrap=True)
                spoke = now


def _batch_room(with_ray: bool) -> ModuleType:
    """The room that needs pyarrow and fsspec, or one line that says how to install them."""
    try:
        from lumbar import batch as room

        if with_ray:
            import ray  # noqa: F401
    except ImportError as missing:
        usage(
            f"this needs more packages ({missing.name} is missing); install them with: "
            f"pip install 'lumbar[{'ray' if with_ray else 'batch'}]'"
        )
    return room
