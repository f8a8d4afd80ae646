"""Training steps of every method: films a second, share of the matrix peak, and where the rest goes.

    python benchmarks/training.py [--height 256] [--batch-size 8] [--precision bf16] [--device auto] [--methods NAME...] [--json FILE]

One step is one of the training loop's own, on a batch of simulated films that is there already; what it costs to cut the samples out of films,
and to simulate the films, is measured beside it on one core. The matrix peak is the best rate of a few large matrix products in the same
precision on the same device and threads; a step is counted as three times the multiply-accumulates of the network's forward pass. Rounds are
interleaved, times are medians, on the wall. Methods are held against each other by their ratio to the first. On a graphics card: `--height 1024`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from networks import about, macs
from torch import Tensor

from lumbar.methods import METHODS
from lumbar.synthesis import simulate_film
from lumbar.training.landmark_task import landmark_task
from lumbar.training.loop import Recipe, Task, one_step
from lumbar.training.runs import device_called
from lumbar.training.stream import Films

PEAK_SIZES = (1024, 2048, 4096)
FILMS = 8
"""So many simulated films, used again and again: the step does not know."""


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--height", type=int, default=256)
    arguments.add_argument("--batch-size", type=int, default=8)
    arguments.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    arguments.add_argument("--device", default="auto")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=tuple(METHODS))
    arguments.add_argument("--json", type=Path)
    given = arguments.parse_args()
    recipe = Recipe(batch_size=given.batch_size, precision=given.precision, workers=0)
    figures = measured(given.methods, given.height, recipe, device_called(given.device), given.rounds)
    print(table(figures))
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


def measured(names: list[str], height: int, recipe: Recipe, device: torch.device, rounds: int) -> dict[str, Any]:
    """All figures; times in seconds, of a step or a film."""
    begun = time.process_time()
    drawn = [simulate_film(0, number) for number in range(FILMS)]
    simulating = (time.process_time() - begun) / FILMS
    films = Films(lambda index: drawn[index % FILMS], lambda index: drawn[index % FILMS], 1)
    tasks = {name: landmark_task(METHODS[name](), height, height // 2, recipe, films) for name in names}
    threads = torch.get_num_threads()
    batches = tasks[names[0]].batches(0)
    next(batches)
    begun = time.process_time()
    batch = next(batches)
    sampling = (time.process_time() - begun) / len(batch[0])
    torch.set_num_threads(threads)  # drawing samples sets it to one
    rows = {name: {"macs": macs(task.network, (1, 3, height, height // 2))} for name, task in tasks.items()}
    steps = {name: Step(task, batch, recipe, device) for name, task in tasks.items()}
    peak = matrix_peak(recipe.precision, device)
    times: dict[str, dict[str, list[float]]] = {name: {"step": [], "forward": [], "loss": []} for name in names}
    for turn, (name, step) in itertools.product(range(rounds + 1), steps.items()):
        for part, run in (("step", step.whole), ("forward", step.forward), ("loss", step.forward_and_loss)):
            seconds = timed(run, device)
            if turn:  # the first step makes what later ones have
                times[name][part].append(seconds)
    for name, parts in times.items():
        rows[name] |= {part: statistics.median(of_part) for part, of_part in parts.items()}
    return {
        "rows": rows, "batch": len(batch[0]), "peak_macs_per_second": peak, "simulating": simulating, "sampling": sampling,
        "height": height, "precision": recipe.precision, "device": str(device), "threads": torch.get_num_threads(), **about(),
    }  # fmt: skip


class Step:
    """A task's network and optimiser on a device, and one batch to be learnt again and again."""

    def __init__(self, task: Task, batch: tuple[Tensor, ...], recipe: Recipe, device: torch.device) -> None:
        self.task, self.recipe, self.device = task, recipe, device
        self.network = task.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.AdamW(self.network.parameters(), recipe.learning_rate)
        self.batch = tuple(tensor.to(device) for tensor in batch)

    def whole(self) -> None:
        """The loop's own step."""
        one_step(self.task, self.network, self.optimiser, self.batch, self.recipe, 0.0, 0, self.device)

    def forward(self) -> object:
        """Its forward pass, with what the backward pass would need kept."""
        images = self.batch[0].to(memory_format=torch.channels_last)
        narrow = torch.autocast(self.device.type, torch.bfloat16) if self.recipe.precision == "bf16" else nullcontext()
        with narrow:
            return self.network.train()(images)

    def forward_and_loss(self) -> None:
        """The same with targets and loss."""
        self.task.loss(self.forward(), self.batch)


def matrix_peak(precision: str, device: torch.device) -> float:
    """Multiply-accumulates a second of the best of a few large matrix products."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    rates = []
    for size in PEAK_SIZES:
        matrix = torch.randn(size, size, device=device).to(kind)
        rates.append(size**3 / min(timed(partial(torch.matmul, matrix, matrix), device) for _ in range(6)))
    return max(rates)


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Seconds on the wall until the device is done."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    begun = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - begun


def table(figures: dict[str, Any]) -> str:
    """The figures for a person."""
    rows, batch, peak = figures["rows"], figures["batch"], figures["peak_macs_per_second"]
    first = next(iter(rows))
    lines = [
        f"| | GMAC a film, forward | films a second | step over that of {first} | share of the matrix peak | forward | targets and loss | backward and update |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        step, forward, loss = row["step"], row["forward"], max(0.0, row["loss"] - row["forward"])
        shares = " | ".join(f"{share:.0%}" for share in (forward / step, loss / step, 1 - (forward + loss) / step))
        of_peak = 3 * row["macs"] * batch / step / peak
        ratio = step / rows[first]["step"]
        lines.append(
            f"| {name} | {row['macs'] / 1e9:.1f} | {batch / step:.2f} | {ratio:.2f} | {of_peak:.0%} | {shares} |"
        )
    slowest, fastest = (pick(row["step"] for row in rows.values()) / batch for pick in (max, min))
    feeding = figures["sampling"]
    lines.append(
        f"\n{figures['height']} x {figures['height'] // 2}, batch {batch}, {figures['precision']}, {figures['device']}, {figures['threads']} threads, "
        f"{figures['processor']}; matrix peak {peak / 1e9:.0f} GMAC/s.\nCutting a sample out of its film takes {feeding / slowest:.3f} to "
        f"{feeding / fastest:.3f} of a step's time for a film, on one core; simulating the film {figures['simulating'] / feeding:.0f} times as long as cutting a sample."
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
