"""How fast the simulator is, where its time goes, and whether it keeps its memory.

    OMP_NUM_THREADS=1 python benchmarks/simulator.py speed [--films 12] [--processes 1] [--json FILE]
    OMP_NUM_THREADS=1 python benchmarks/simulator.py memory [--films 10000] [--height 256] [--json FILE]

speed: films of 1024 rows, one after the other, in numpy, then in torch on the processor and on a graphics card, where there are
such. The figures of a processor are CPU time of this process, not time on the wall, so that other work on the machine hardly shows; a
graphics card is timed on the wall. Widths vary from film to film: a "film of 1024 x 512" is 0.524 Mpx worth of films, so what
a film costs whatever its size is shared out by pixels too. Then an ESTIMATE, not a measurement, of one NVIDIA H100 with 16 cores, worked out from
operations counted while the same films were made by torch on the processor, and from the assumptions that are printed with it.

With `--processes N`, so many processes then make `--films` each at the same time, with each engine (a graphics card is shared by all): films a
second on the wall, after each has made one to begin with.

memory: simulates film after film and prints resident memory; ends with 1 where the mean over the last tenth of the films exceeds that
over the second tenth by more than 5 %. 10,000 films take about half an hour.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from lumbar.synthesis import artefacts, beam, film
from lumbar.synthesis.console import Console
from lumbar.synthesis.engine import NUMPY, Engine, in_parts
from lumbar.synthesis.trunk import TrunkShape
from lumbar.worker_processes import worker_pool

SEED, HEIGHT, FILM_PX = 41, 1024, 1024 * 512
Figures = dict[str, Any]

STAGES: dict[str, list[tuple[Any, str]]] = {
    "drawing and meshes": [
        (film.Patient, "draw"),
        (film, "draw_bend"),
        (film, "draw_framing"),
        (film, "_bones"),
        (film, "_metal"),
        (film, "arm"),
        (film, "draw_gas"),
        (film, "vacuum_disc"),
        (TrunkShape, "flesh"),
        (TrunkShape, "lungs_of"),
        (TrunkShape, "waistband"),
        (beam, "merged"),
        (beam.Beam, "seen"),
    ],
    "meshes put on the film": [(beam, "_triangles_on_film"), (beam, "_slant")],
    "path lengths": [(film, "path_lengths")],
    "exposure": [(film, "detect")],
    "console and artefacts": [(Console, "apply"), (artefacts, "marked"), (artefacts, "photographed")],
}
REST = "noise, mottle and the rest"
ON_THE_PROCESSOR = ("drawing and meshes", "console and artefacts", REST)
"""What an engine on a graphics card leaves to the processor: all of it but for a few operations in the rest."""

H100 = {
    "memory bandwidth, bytes a second": 3.35e12,
    "float64 multiplications and additions a second": 30e12,
    "bytes a second between host and card": 25e9,
    "seconds a launch, at best": 5e-6,
    "seconds a launch, at worst": 10e-6,
    "seconds a wait of the host for the card": 20e-6,
    "cores beside it, each as fast as this one": 16,
}
"""The assumptions of the estimate."""


def main() -> None:
    """Command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = arguments.add_subparsers(dest="command", required=True)
    for name, films in (("speed", 12), ("memory", 10_000)):
        command = commands.add_parser(name)
        command.add_argument("--films", type=int, default=films)
        command.add_argument("--json", type=Path, help="write the figures here")
        if name == "speed":
            command.add_argument("--processes", type=int, default=1)
    command.add_argument("--height", type=int, default=256)
    given = arguments.parse_args()
    cv2.setNumThreads(1)
    figures, held = (
        speed(given.films, given.processes) if given.command == "speed" else memory(given.films, given.height)
    )
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), given.command: figures}, indent=2) + "\n")
    sys.exit(not held)


def machine() -> Figures:
    """Where and when the figures were taken, with which versions."""
    packages = ("lumbar", "numpy", "opencv-python-headless", "torch", "psutil")
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return {
        "processor": models[0].split(":")[1].strip() if models else platform.processor(),
        "cores": psutil.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "commit": commit(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: installed(name) for name in packages},
    }


def commit() -> str:
    """The checkout's commit, with a plus where files differ from it."""
    home = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=home, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def installed(name: str) -> str | None:
    """A package's version; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


# --- speed -----------------------------------------------------------------------------------------------------------------


def speed(films: int, processes: int) -> tuple[Figures, bool]:
    """Prints and returns the figures of each engine, what was counted, and the estimate."""
    print(f"{machine()['processor']}; {films} films of {HEIGHT} rows each, seed {SEED}\n")
    figures: Figures = {"films": films, "engines": {"numpy": measured("numpy", NUMPY, films, time.process_time)}}
    if find_spec("torch") is None:
        print("torch is not installed: pip install 'lumbar[train]' for its figures and the estimate")
        return figures, True
    import torch

    from lumbar.synthesis.torch_engine import TorchEngine

    torch.set_num_threads(1)
    engines = figures["engines"]
    engines["torch, processor"] = measured("torch, processor", TorchEngine("cpu"), films, time.process_time)
    if torch.cuda.is_available():

        def clock() -> float:
            torch.cuda.synchronize()
            return time.perf_counter()

        name = f"torch, {torch.cuda.get_device_name()}"
        engines[name] = measured(name, TorchEngine("cuda"), films, clock)
    if processes > 1:
        devices = ["numpy", *(["cuda"] if torch.cuda.is_available() else [])]
        figures["together"] = {"processes": processes} | {name: together(name, films, processes) for name in devices}
    figures["counted"] = counted(films)
    figures["estimate for an H100"] = estimated(figures["counted"], engines["numpy"])
    return figures, True


def measured(name: str, engine: Engine, films: int, clock: Callable[[], float]) -> Figures:
    """Films a second and the share of each stage."""
    film.simulate(SEED, films, HEIGHT, engine)  # a first film loads and caches
    with Stopwatch(clock).on_the_stages() as watch:
        pixels = sum(
            film.simulate(SEED, index, HEIGHT, engine).annotated.radiograph.pixels.size for index in range(films)
        )
    seconds = sum(watch.seconds.values())
    figures: Figures = {
        "films_per_second": films / seconds,
        "megapixels_per_film": pixels / films / 1e6,
        "megapixels_per_second": pixels / seconds / 1e6,
        "films_of_1024_x_512_per_second": pixels / seconds / FILM_PX,
        "milliseconds_per_film": {stage: watch.seconds[stage] / films * 1e3 for stage in (*STAGES, REST)},
    }
    print(
        f"{name}: {films / seconds:.2f} films/s of {pixels / films / 1e6:.3f} Mpx on average = {pixels / seconds / 1e6:.2f} Mpx/s "
        f"= {pixels / seconds / FILM_PX:.2f} films/s of 1024 x 512"
    )
    for stage in (*STAGES, REST):
        print(f"  {stage:28} {watch.seconds[stage] / films * 1e3:7.1f} ms a film {watch.seconds[stage] / seconds:6.0%}")
    print()
    return figures


def together(name: str, films: int, processes: int) -> Figures:
    """Films a second of so many processes at once, with the engine `name`: numpy, or a device of torch."""
    with worker_pool(processes) as pool:
        with get_context("spawn").Manager() as manager:
            line = manager.Barrier(processes)
            spans = list(
                pool.map(one_of_many, *zip(*((name, films, own, line) for own in range(processes)), strict=True))
            )
    seconds = max(end for _, end, _ in spans) - min(begun for begun, _, _ in spans)
    pixels = sum(pixels for _, _, pixels in spans)
    made = {
        "films_per_second": films * processes / seconds,
        "films_of_1024_x_512_per_second": pixels / seconds / FILM_PX,
    }
    print(
        f"{processes} processes, {name}: " + ", ".join(f"{k.replace('_', ' ')} {v:.1f}" for k, v in made.items()) + "\n"
    )
    return made


def one_of_many(name: str, films: int, own: int, line: Any) -> tuple[float, float, int]:
    """When this process began and ended its films, and their pixels; it begins with the others."""
    cv2.setNumThreads(1)
    engine: Engine = NUMPY
    if name != "numpy":
        import torch

        from lumbar.synthesis.torch_engine import TorchEngine

        torch.set_num_threads(1)
        engine = TorchEngine(name)
    film.simulate(SEED + 1 + own, films, HEIGHT, engine)  # a first film loads and caches
    line.wait()
    begun = time.time()
    sizes = [
        film.simulate(SEED + 1 + own, index, HEIGHT, engine).annotated.radiograph.pixels.size for index in range(films)
    ]
    return begun, time.time(), sum(sizes)


class Stopwatch:
    """Time spent in each stage, without what other stages spend inside it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: Counter[str] = Counter()
        self._clock = clock
        self._inside = [REST]
        self._since = 0.0

    def _turn(self) -> None:
        now = self._clock()
        self.seconds[self._inside[-1]] += now - self._since
        self._since = now

    def _timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._turn()
            self._inside.append(stage)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn()
                self._inside.pop()

        return timed

    @contextmanager
    def on_the_stages(self) -> Iterator[Stopwatch]:
        """The simulator's functions are timed in here."""
        places = [(stage, owner, name) for stage, places in STAGES.items() for owner, name in places]
        originals = [owner.__dict__[name] for _, owner, name in places]
        for (stage, owner, name), original in zip(places, originals, strict=True):
            bound = isinstance(original, classmethod)
            timed = self._timed(stage, original.__func__ if bound else original)
            setattr(owner, name, classmethod(timed) if bound else timed)
        self._since = self._clock()
        try:
            yield self
        finally:
            self._turn()
            for (_, owner, name), original in zip(places, originals, strict=True):
                setattr(owner, name, original)


class CountedEngine:
    """An engine that counts triangles walked, their rows, the pixels hit, and bytes to and from the device."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.counts: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def array(self, values: Any) -> Any:
        """Counts bytes sent."""
        made = self._engine.array(values)
        self.counts["bytes between host and device"] += made.numel() * made.element_size()
        self.counts["transfers"] += 1
        return made

    def numpy(self, values: Any) -> Any:
        """Counts bytes fetched."""
        self.counts["bytes between host and device"] += values.numel() * values.element_size()
        self.counts["transfers"] += 1
        self.counts["waits"] += 1
        return self._engine.numpy(values)

    def parts(self, count: int) -> list[slice]:
        """All at once, as on a card, whatever suits a processor."""
        return in_parts(count, max(1, count))

    def owners(self, counts: Any) -> Any:
        """Called twice a projection: triangles become rows, rows become hits."""
        made = self._engine.owners(counts)
        self.counts["triangles and rows"] += len(counts)
        self.counts["rows and hits"] += len(made)
        return made

    def add(self, total: Any, index: Any, values: Any) -> None:
        """Counts hits."""
        self.counts["hits"] += len(index)
        self._engine.add(total, index, values)


def counted(films: int) -> Figures:
    """What a film takes on average, counted while torch makes the same films on the processor.

    A launch is an operation of torch that is no view. Its bytes are those of its inputs and outputs, each once, as an
    operation of its own must move them. Multiplications and additions are counted in matrix products alone; all else is bound by memory.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    from lumbar.synthesis.torch_engine import TorchEngine

    totals: Counter[str] = Counter()

    class Operations(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            read, written = (
                [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
                for tree in ((args, kwargs), made)
            )
            name = func.overloadpacket.__name__
            memory_read = {tensor.untyped_storage().data_ptr() for tensor in read}
            is_view = any(tensor.untyped_storage().data_ptr() in memory_read for tensor in written if tensor.numel())
            if is_view and not name.endswith("_"):
                return made
            totals["launches"] += 1
            totals["bytes in device memory"] += sum(t.numel() * t.element_size() for t in (*read, *written))
            totals["waits"] += name in ("repeat_interleave", "_local_scalar_dense")
            if name == "mm":
                totals["multiplications and additions"] += 2 * args[0].shape[0] * args[0].shape[1] * args[1].shape[1]
            return made

    engine = CountedEngine(TorchEngine("cpu"))
    pixels = 0
    with Operations():
        for index in range(films):
            pixels += film.simulate(SEED, index, HEIGHT, engine).annotated.radiograph.pixels.size
    totals.update(engine.counts)
    totals["rows"] = totals.pop("rows and hits") - totals["hits"]
    totals["triangles"] = totals.pop("triangles and rows") - totals["rows"]
    figures = {"megapixels": pixels / films / 1e6} | {name: total / films for name, total in totals.items()}
    print(
        f"a film of {figures['megapixels']:.3f} Mpx walks {figures['triangles']:,.0f} triangles, {figures['rows']:,.0f} rows of them and "
        f"{figures['hits']:,.0f} hits (triangle, pixel)\n"
        f"in torch: {figures['launches']:.0f} launches, {figures['bytes in device memory'] / 1e6:,.0f} MB in memory "
        f"({figures['bytes in device memory'] / figures['hits']:.0f} bytes a hit), "
        f"{figures['multiplications and additions'] / 1e9:.2f} billion multiplications and additions in blurs,\n"
        f"  {figures['transfers']:.0f} transfers of {figures['bytes between host and device'] / 1e6:.1f} MB, {figures['waits']:.0f} waits\n"
    )
    return figures


def estimated(counts: Figures, on_this_core: Figures) -> Figures:
    """Films a second on an H100: an estimate, and printed as one."""
    bandwidth, products, link, best, worst, wait, cores = H100.values()
    busy = counts["bytes in device memory"] / bandwidth + counts["multiplications and additions"] / products
    moved = counts["bytes between host and device"] / link + counts["waits"] * wait
    card = [busy + moved + (counts["launches"] + counts["transfers"]) * launch for launch in (best, worst)]
    core = sum(on_this_core["milliseconds_per_film"][stage] for stage in ON_THE_PROCESSOR) / 1e3
    # At best the cores prepare the next films while the card works on this one; at worst each waits for the other.
    fast, slow = 1 / max(card[0], core / cores), 1 / (card[1] + core / cores)
    share = counts["megapixels"] * 1e6 / FILM_PX
    print("ESTIMATE for one NVIDIA H100, worked out and not measured, from the counts above and these assumptions:")
    for name, value in H100.items():
        print(f"  {name:48} {value:g}")
    print(
        "  each operation of torch is one launch and moves its inputs and outputs once at full bandwidth; nothing is fused;\n"
        "  atomic additions and cache misses of gathers cost nothing beyond their bytes; launches and arithmetic do not overlap\n"
        f"a film on the card: {busy * 1e3:.2f} ms of arithmetic and memory, {moved * 1e3:.2f} ms of transfers and waits, "
        f"{(card[0] - busy - moved) * 1e3:.2f} to {(card[1] - busy - moved) * 1e3:.2f} ms of launches\n"
        f"a film on the processor ({', '.join(ON_THE_PROCESSOR)}): {core * 1e3:.0f} ms on one core, {core / cores * 1e3:.1f} ms shared by {cores}\n"
        f"hence {slow:.0f} to {fast:.0f} films/s of {counts['megapixels']:.3f} Mpx = {slow * share:.0f} to {fast * share:.0f} films/s of 1024 x 512 "
        f"(ESTIMATE); the {'processor' if core / cores > card[1] else 'card'} sets the pace"
    )
    return {
        "assumptions": H100,
        "seconds_on_card": card,
        "seconds_on_one_core": core,
        "films_per_second": [slow, fast],
        "films_of_1024_x_512_per_second": [slow * share, fast * share],
    }


# --- memory ----------------------------------------------------------------------------------------------------------------


def memory(films: int, height: int) -> tuple[Figures, bool]:
    """Prints resident memory every 500 films (every tenth of a short run); False where it grew."""
    process = psutil.Process()
    step = min(500, max(1, films // 10))
    resident = []
    started = time.monotonic()
    for index in range(films):
        film.simulate(SEED, index, height)
        resident.append(process.memory_info().rss / 2**20)
        if (index + 1) % step == 0:
            print(f"{index + 1:6} films {resident[-1]:8.1f} MiB {time.monotonic() - started:7.0f} s", flush=True)
    tenth = max(1, films // 10)
    second, last = float(np.mean(resident[tenth : 2 * tenth])), float(np.mean(resident[-tenth:]))
    growth = last / second - 1
    held = growth <= 0.05
    print(
        f"mean of the second tenth {second:.1f} MiB, of the last {last:.1f} MiB: {growth:+.1%}, {'held' if held else 'GROWN'}"
    )
    figures = {"films": films, "height": height, "second_tenth_mib": second, "last_tenth_mib": last, "growth": growth}
    return figures | {"step": step, "mib_after_every_step": resident[step - 1 :: step]}, held


if __name__ == "__main__":
    main()
