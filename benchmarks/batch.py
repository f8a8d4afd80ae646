"""`lumbar batch` on this machine: what many films cost beside their networks, what a second process brings, and kill -9.

    python benchmarks/batch.py speed FOLDER [--films 128] [--rounds 2] [--json FILE]
    python benchmarks/batch.py endurance FOLDER OUT [--films 5000] [--distinct 250] [--kills 3] [--json FILE]

FOLDER holds films, such as `lumbar synthesise` writes. speed: films a second of one process and of two, and of one and two actors of
Ray, each process on one core, in a job of links to 32 films without its first shards of so many; beside them what the networks
alone reach on these films in as many processes at once. endurance: a job of so many films, all of them links to a few distinct ones, killed with -9 so
many times and given again; then the rows of every film must be those of the job of the distinct films alone, and the memory of the
processes must not have grown. Ends with 1 where that does not hold.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from networks import about, timed_reader

from lumbar.films import open_film
from lumbar.runtime import PRECISIONS

SHARD = 32
GROWTH = 1.05


def main() -> int:
    """Measure, print, and say whether all held."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = arguments.add_subparsers(dest="command", required=True)
    speeds, lasts = commands.add_parser("speed"), commands.add_parser("endurance")
    for command, films in ((speeds, 128), (lasts, 5000)):
        command.add_argument("folder", type=Path)
        command.add_argument("--films", type=int, default=films)
        command.add_argument("--precision", choices=PRECISIONS, default="fp32")
        command.add_argument("--json", type=Path)
    speeds.add_argument("--rounds", type=int, default=2)
    lasts.add_argument("out", type=Path)
    lasts.add_argument("--distinct", type=int, default=250)
    lasts.add_argument("--kills", type=int, default=3)
    given = arguments.parse_args()
    if given.command == "speed":
        figures, held = speed(given.folder, given.films, given.precision, given.rounds), True
    else:
        figures, held = endurance(given.folder, given.out, given.films, given.distinct, given.kills, given.precision)
    if given.json is not None:
        given.json.write_text(json.dumps({**figures, **about()}, indent=1) + "\n")
    return 0 if held else 1


def films_of(folder: Path, count: int) -> list[Path]:
    """The first films of the folder."""
    films = [path for path in sorted(folder.rglob("*")) if path.suffix in (".png", ".dcm", ".jpg")]
    if len(films) < count:
        sys.exit(f"FOLDER must hold {count} films; got {len(films)} in {folder}")
    return films[:count]


def speed(folder: Path, count: int, precision: str, rounds: int) -> dict[str, Any]:
    """Films a second, and their ratios: of each round, since machines have their better minutes, and the median of these."""
    films = films_of(folder, SHARD)
    taken: list[dict[str, float]] = []
    for turn in range(rounds):
        rates = {}
        for processes, said in ((1, "one"), (2, "two")):
            rates[f"networks alone, {said}"] = networks_alone(films, precision, processes)
            rates[f"processes, {said}"] = films_a_second(films, count, precision, processes)
            rates[f"actors of Ray, {said}"] = films_a_second(films, count, precision, processes, "--ray", "local")
        taken.append(rates)
        print(
            f"round {turn + 1}: " + ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items()) + " films a second"
        )
    ratios = {
        f"{above} over {below}": statistics.median(rates[above] / rates[below] for rates in taken)
        for above, below in (
            ("processes, one", "networks alone, one"),
            ("processes, two", "networks alone, two"),
            ("processes, two", "processes, one"),
            ("actors of Ray, two", "networks alone, two"),
            ("actors of Ray, two", "actors of Ray, one"),
        )
    }
    print("\n".join(f"{name}: {ratio:.2f}" for name, ratio in ratios.items()))
    return {"films": count, "precision": precision, "films_per_second": taken, "ratios": ratios}


def networks_alone(films: list[Path], precision: str, processes: int) -> float:
    """Films a second that the networks of so many processes at once would reach if they never waited for anything."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return sum(pool.starmap(_networks_alone, [(films, precision)] * processes, chunksize=1))


def _networks_alone(films: list[Path], precision: str) -> float:
    reader, clock = timed_reader(precision, time.perf_counter)
    reader.read(open_film(films[0]), "warm")
    clock[0] = 0.0
    for film in films:
        reader.read(open_film(film), film.name)
    return len(films) / clock[0]


def films_a_second(films: list[Path], count: int, precision: str, processes: int, *options: object) -> float:
    """The rate of a job once each process has done a shard. All shards are alike, and there are as many for each process."""
    with tempfile.TemporaryDirectory() as work:
        source, out = linked(films, count, Path(work) / "films"), Path(work) / "out"
        options = ("--shard", len(films), "--workers", processes, *options)
        subprocess.run(command(source, out, precision, *options), check=True, **QUIET)
        done = sorted(path.stat().st_mtime for path in (out / "shards").glob("*.parquet"))
    return len(films) * (len(done) - processes) / (done[-1] - done[processes - 1])


QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def command(source: Path, out: Path, precision: str, *options: object) -> list[str]:
    """A job as a command."""
    return [
        sys.executable,
        "-m",
        "lumbar",
        "batch",
        str(source),
        "--out",
        str(out),
        "--precision",
        precision,
        *map(str, options),
    ]


def linked(films: list[Path], count: int, folder: Path) -> Path:
    """A folder of `count` films, all of them links to these, in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        link = folder / f"{number:06d}{films[number % len(films)].suffix}"
        if not link.exists():
            link.symlink_to(films[number % len(films)].resolve())
    return folder


def endurance(
    folder: Path, out: Path, count: int, distinct: int, kills: int, precision: str
) -> tuple[dict[str, Any], bool]:
    """The long job, killed now and then, against the short one."""
    films = films_of(folder, distinct)
    once, often = linked(films, distinct, out / "once"), linked(films, count, out / "often")
    subprocess.run(command(once, out / "once-read", precision, "--workers", 2), check=True, **QUIET)
    place, workers = out / "often-read", []
    shards = -(-count // 32)
    for turn in range(kills + 1):
        process = subprocess.Popen(command(often, place, precision, "--workers", 2), **QUIET)
        memory: list[float] = []
        watch = threading.Thread(target=watched, args=(process.pid, memory), daemon=True)
        watch.start()
        wanted = shards * (turn + 1) // (kills + 1)
        while process.poll() is None and (turn == kills or len(list((place / "shards").glob("*.parquet"))) < wanted):
            time.sleep(0.5)
        if turn < kills:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        watch.join()
        workers.append(memory)
        print(
            f"run {turn + 1}: {'killed' if turn < kills else 'done'} at {len(list((place / 'shards').glob('*.parquet')))} of {shards} shards"
        )
    same = rows(place) == rows(out / "once-read") * (count // distinct)
    tenth = [max(1, len(memory) // 10) for memory in workers]
    growth = max(mean(m[-n:]) / mean(m[n : 2 * n] or m) for m, n in zip(workers, tenth, strict=True))
    print(f"{count} films, {kills} kills: rows {'are' if same else 'ARE NOT'} those of {distinct} films alone")
    print(f"memory of all processes, last tenth over second tenth, largest of the runs: {growth:.3f}")
    shutil.rmtree(often)
    return {"films": count, "kills": kills, "same": same, "memory_growth": growth}, same and growth < GROWTH


def watched(pid: int, memory: list[float]) -> None:
    """Add the proportional memory of a process and its children in MB, twice a second, as long as it runs."""
    parent = psutil.Process(pid)
    while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
        total = 0.0
        try:
            for process in (parent, *parent.children(recursive=True)):
                total += process.memory_info().rss / 2**20
        except psutil.NoSuchProcess:
            break
        memory.append(total)
        time.sleep(0.5)


def mean(values: list[float]) -> float:
    """Their mean."""
    return sum(values) / len(values)


def rows(place: Path) -> list[tuple[str, ...]]:
    """What the tables say, film after film, but for the films' names."""
    of_film: dict[str, list[tuple[str, ...]]] = {}
    for table in ("films.csv", "measurements.csv"):
        with (place / table).open(newline="") as file:
            for row in csv.DictReader(file):
                of_film.setdefault(row.pop("film"), []).append(tuple(row.values()))
    return [tuple(value for row in of_film[name] for value in row) for name in sorted(of_film)]


if __name__ == "__main__":
    sys.exit(main())
