"""The networks and the whole reading of a film, all in one run: time, share of the convolution peak, memory.

    OMP_NUM_THREADS=1 python benchmarks/networks.py [--rounds 5] [--methods NAME...] [--json FILE]

Every network is exported to ONNX with random weights and run by ONNX Runtime on one thread, one crop of 1024 x 512 (YOLOv8n: 640 x
640) at a time; then those that ship, at the sizes they ship at; then whole readings of the bundled films, from the file to the JSON.
Rounds are interleaved. Times are CPU time of this process, as medians over the rounds, and are printed as ratios to the
vertebra-focused network, since absolute ones say more about the machine. The convolution peak is the best rate of a few large 3 x 3
convolutions in the same runtime; shares are of it. Memory is what a process that runs this network alone has at most, less what it
has before the network is loaded. A reading from cold is a process of its own, `lumbar read` of one film.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lumbar.films import open_film
from lumbar.methods import METHODS
from lumbar.networks.close_up_net import CloseUpNet
from lumbar.networks.corner_net import CORNERS, CornerNet
from lumbar.networks.yolov8 import yolov8n
from lumbar.pipeline import Reader, networks_of
from lumbar.runtime import FOLDER, PRECISIONS, QUANTISED, OnnxFunction, sha256_of, weights_in

EXAMPLE = Path(__file__).parent.parent / "src" / "lumbar" / "examples" / "study"
REFERENCE = "vertebra-focused"
SIZE, LOCALISER_SIZE = (1024, 512), (640, 640)
PEAK_SHAPES = ((64, 256, 128), (128, 128, 64), (256, 64, 32))
READING, IN_READING = "whole reading of a film, {}", "its networks, {}"


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=tuple(METHODS))
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    if given.rounds < 2:
        arguments.error(f"--rounds must be 2 or more, since the first loads what is loaded late; got {given.rounds}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), {REFERENCE: None, **dict.fromkeys(given.methods)}.keys(), given.rounds)
    print(table(figures))
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


def measured(folder: Path, methods: Any, rounds: int) -> dict[str, Any]:
    """All figures; times in seconds."""
    rows: dict[str, dict[str, Any]] = {}
    runs: dict[str, Callable[[], object]] = {}

    def add(name: str, path: Path, network: nn.Module, shape: tuple[int, ...]) -> None:
        batch = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        function = OnnxFunction(path, 1)
        runs[name] = lambda: function(batch)
        parameters = sum(p.numel() for p in network.parameters())
        rows[name] = {"parameters": parameters, "macs": macs(network, shape), "memory_mb": memory_mb(path, shape)}

    for name in methods:
        network = METHODS[name]().build().eval()
        exported(network, folder / f"{name}.onnx", (1, 3, *SIZE))
        add(name, folder / f"{name}.onnx", network, (1, 3, *SIZE))
    exported(yolov8n(2).eval(), folder / "yolov8n.onnx", (1, 3, *LOCALISER_SIZE))
    add("yolov8n", folder / "yolov8n.onnx", yolov8n(2).eval(), (1, 3, *LOCALISER_SIZE))
    for precision in PRECISIONS:
        for stage, weights in weights_in(FOLDER, precision).items():
            inputs = {"close-up": (7, 2), "corner": (1, CORNERS, 4), "localiser": (2, 3), "landmarks": (1, 3)}[stage]
            shape = (*inputs, weights.height, weights.width)
            pictures = math.prod(inputs[:-1])
            name = f"shipped {stage}, {pictures} x {weights.height} x {weights.width}, {precision}"
            if precision == "fp32" or stage in QUANTISED:
                add(name, weights.path, shipped_network(stage), shape)
    for shape in PEAK_SHAPES:
        path, network = folder / f"peak-{shape[0]}.onnx", nn.Conv2d(shape[0], shape[0], 3, padding=1)
        exported(network, path, (1, *shape))
        add(f"convolution of {' x '.join(map(str, shape))}", path, network, (1, *shape))

    readers = {precision: timed_reader(precision) for precision in PRECISIONS}
    films = sorted(EXAMPLE.glob("*.dcm"))
    for run in runs.values():
        run()
    of_readings = [name.format(precision) for precision in PRECISIONS for name in (READING, IN_READING)]
    times: dict[str, list[float]] = {name: [] for name in (*runs, *of_readings)}
    for turn in range(rounds):
        for name, run in runs.items():
            begun = time.process_time()
            run()
            times[name].append(time.process_time() - begun)
        for precision, (reader, clock) in readers.items():
            begun, clock[0] = time.process_time(), 0.0
            for film in films:
                reader.read(open_film(film), film.name).to_json()
            if turn:  # the first round loads what is loaded late
                times[READING.format(precision)].append((time.process_time() - begun) / len(films))
                times[IN_READING.format(precision)].append(clock[0] / len(films))
    for name, of_name in times.items():
        rows.setdefault(name, {})["seconds"] = statistics.median(of_name)
    peak = max(row["macs"] / row["seconds"] for name, row in rows.items() if name.startswith("convolution"))
    for precision, (_, clock) in readers.items():
        rows[IN_READING.format(precision)]["macs"] = clock[1] / clock[2]
    return {"rows": rows, "peak_macs_per_second": peak, "cold": from_cold(films[0]), **about()}


def exported(network: nn.Module, path: Path, shape: tuple[int, ...]) -> None:
    """Write the network for inputs of this shape; what it answers does not matter here."""
    with contextlib.redirect_stderr(None), warnings.catch_warnings(action="ignore"):
        program = torch.onnx.export(network, (torch.zeros(shape),), dynamo=True, verbose=False)
    assert program is not None
    program.optimize()
    program.save(path)


def shipped_network(stage: str) -> nn.Module:
    """The network of that stage, with random weights."""
    made = {
        "localiser": lambda: yolov8n(2),
        "landmarks": METHODS["lsld-net-levels"]().build,
        "close-up": CloseUpNet,
        "corner": CornerNet,
    }
    return made[stage]().eval()


def timed_reader(precision: str = "fp32", now: Callable[[], float] = time.process_time) -> tuple[Reader, list[float]]:
    """A reader whose networks add the time they take to the first number, and multiply-accumulates and films seen to the others."""
    clock = [0.0, 0.0, 0.0]
    weights, counted = weights_in(FOLDER, precision), {}

    def timed(stage: str) -> Callable[[np.ndarray], Any]:
        function = OnnxFunction(weights[stage].path, 1)

        def run(batch: np.ndarray) -> Any:
            begun = now()
            answer = function(batch)
            clock[0] += now() - begun
            key = (stage, batch.shape[1:])
            if key not in counted:
                counted[key] = macs(shipped_network(stage), (1, *batch.shape[1:]))
            clock[1] += counted[key] * len(batch)
            clock[2] += stage == "localiser"
            return answer

        return run

    return Reader(networks_of(weights, {stage: timed(stage) for stage in weights}), sha256_of(weights)), clock


def macs(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of convolutions and linear layers for one input."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(shape))
    return counter.get_total_flops() // 2


def memory_mb(path: Path, shape: tuple[int, ...]) -> float:
    """What a process of its own needs for this network."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return float(pool.apply(_memory_mb, (path, shape)))


def _memory_mb(path: Path, shape: tuple[int, ...]) -> float:
    import onnxruntime  # noqa: F401

    batch = np.zeros(shape, np.float32)
    before = most_mb()
    OnnxFunction(path, 1)(batch)
    return most_mb() - before


def most_mb(status: str | None = None) -> float:
    """The most memory that this process, or that of this /proc/PID/status, has had resident."""
    status = Path("/proc/self/status").read_text() if status is None else status
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def from_cold(film: Path) -> dict[str, float]:
    """Processes of their own, on the wall: imports, the reader made ready, one film read by `lumbar read`; and its largest memory."""
    imports = {
        name: shortest([sys.executable, "-c", code])
        for name, code in (
            ("python_seconds", "pass"),
            ("numpy_seconds", "import numpy"),
            ("import_seconds", "import lumbar"),
            ("import_reader_seconds", "from lumbar import Reader"),
        )
    }
    with tempfile.TemporaryDirectory() as out:
        ready = shortest([sys.executable, "-c", "from lumbar import Reader; Reader.shipped()"])
        read = shortest([sys.executable, "-m", "lumbar", "read", str(film), "--out", out])
    return {**imports, "read_seconds": read, "ready_seconds": ready, "memory_mb": memory_of(film)}


def shortest(command: list[str]) -> float:
    """The shortest of three runs."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begun)
    return min(times)


def memory_of(film: Path) -> float:
    """The most memory that a process of its own has resident which opens and reads a film, in MB."""
    code = (
        "import sys; from pathlib import Path; from lumbar import Reader, open_film;"
        "Reader.shipped().read(open_film(Path(sys.argv[1]))).to_json(); print(Path('/proc/self/status').read_text())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(film)], check=True, capture_output=True, text=True)
    return most_mb(done.stdout)


def table(figures: dict[str, Any]) -> str:
    """The figures for a person."""
    rows, peak = figures["rows"], figures["peak_macs_per_second"]
    unit = rows[REFERENCE]["seconds"]
    lines = [
        "| | parameters | GMAC | time over that of the vertebra-focused network | share of the convolution peak | memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        parameters = f"{row['parameters'] / 1e6:.1f} M" if "parameters" in row else ""
        gmac = f"{row['macs'] / 1e9:.1f}" if "macs" in row else ""
        share = f"{row['macs'] / row['seconds'] / peak:.0%}" if "macs" in row else ""
        memory = f"{row['memory_mb']:.0f}" if "memory_mb" in row else ""
        lines.append(f"| {name} | {parameters} | {gmac} | {row['seconds'] / unit:.3f} | {share} | {memory} |")
    cold = figures["cold"]
    python = cold["python_seconds"]
    numpy, package, reader = (
        (cold[name] - python) / python for name in ("numpy_seconds", "import_seconds", "import_reader_seconds")
    )
    lines.append(
        f"\nover Python's own start, import numpy takes {numpy:.1f} of that, import lumbar {package:.1f}, its Reader {reader:.1f}"
    )
    lines.append(
        f"\npeak {peak / 1e9:.0f} GMAC/s; from cold: ready after {cold['ready_seconds']:.1f} s, one film read and written after "
        f"{cold['read_seconds']:.1f} s, with at most {cold['memory_mb']:.0f} MB; {figures['processor']}"
    )
    return "\n".join(lines)


def about() -> dict[str, Any]:
    """Where and when."""
    here = Path(__file__).parent
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=here).stdout.strip()
    info = Path("/proc/cpuinfo")
    names = [line for line in (info.read_text() if info.exists() else "").splitlines() if line.startswith("model name")]
    return {
        "processor": names[0].split(":")[1].strip() if names else platform.processor(),
        "cores": os.cpu_count(),
        "commit": commit,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


if __name__ == "__main__":
    main()
