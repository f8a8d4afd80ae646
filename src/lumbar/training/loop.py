"""The one training loop: plain, resumable, and the same for the localiser and the landmark methods."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from lumbar.training import checkpoint
from lumbar.training.ranks import Ranks


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. The defaults are the paper's (III.B): Adam at 1.25e-4, constant, batch of 2, 100 epochs.

    epoch_films: samples that count as one epoch (BUU-LSPINE's training share has 350 films). batch_size: of each process.
    minutes: stop after so much training time, if the epochs are not over before; the schedule then runs over that time.
    schedule: "constant", or "cosine" after a short warm-up.
    precision: "fp32" or "bf16" (autocast).
    save_every_s: how often the run is put on disk, so that a killed one loses no more.
    average: decay of the moving average of the weights that is validated and kept; 0 keeps the weights themselves.
    """

    epochs: int = 100
    epoch_films: int = 350
    batch_size: int = 2
    learning_rate: float = 1.25e-4
    weight_decay: float = 0.0
    schedule: str = "constant"
    precision: str = "bf16"
    average: float = 0.0
    minutes: float | None = None
    workers: int = 1
    seed: int = 0
    save_every_s: float = 120.0

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("schedule", self.schedule, ("constant", "cosine")),
            ("precision", self.precision, ("fp32", "bf16")),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")


@dataclass(frozen=True, slots=True)
class Task:
    """What is trained: a network, its samples, its loss, and the error by which the best weights are chosen.

    batches(first_sample) yields tensors whose first is the images (B, 3, H, W); loss gets the network's output and the batch.
    validate gives named figures with `error` among them (smaller is better) and a picture (H, W, 3) uint8 of predictions.
    """

    network: nn.Module
    batches: Callable[[int], Iterator[tuple[Tensor, ...]]]
    loss: Callable[[object, tuple[Tensor, ...]], dict[str, Tensor]]
    validate: Callable[[nn.Module], tuple[dict[str, float], np.ndarray]]


def train(task: Task, recipe: Recipe, folder: Path, device: torch.device, about: dict[str, str]) -> Path:
    """Train, or go on where a killed run stopped; returns the file with the best weights (`best.safetensors`).

    Under torchrun all its processes take each step together, with the mean of their gradients.
    about: what that file's metadata say besides its step and figures.
    """
    ranks = Ranks.here()
    ranks.join(device)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = task.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    last, best = folder / "last.safetensors", folder / "best.safetensors"
    state = checkpoint.load(last, network, average, optimiser) if last.exists() else checkpoint.Progress()
    in_step = ranks.in_step(network, device)
    films_per_step = recipe.batch_size * ranks.world
    steps_per_epoch = max(1, recipe.epoch_films // films_per_step)
    total_steps = recipe.epochs * steps_per_epoch
    started, saved = time.monotonic() - state.seconds, time.monotonic()
    step, best_error = state.step, state.best_error

    def done_by_now() -> float:
        share = step / total_steps
        if recipe.minutes is not None:
            share = max(share, (time.monotonic() - started) / (60 * recipe.minutes))
        return ranks.agreed(min(1.0, share), device)

    def keep() -> None:
        at = checkpoint.Progress(step, time.monotonic() - started, best_error)
        checkpoint.save(last, network, average, optimiser, at)

    source, done = task.batches(step * films_per_step), done_by_now()
    log = SummaryWriter(str(folder / "tensorboard"), purge_step=step) if ranks.leads else None
    with log or nullcontext(), _bar(shown=ranks.leads) as bar:
        task_bar = bar.add_task("training", total=1.0, note="")
        bar.update(task_bar, completed=done)
        while done < 1.0:
            losses = one_step(task, in_step, optimiser, next(source), recipe, done, step, device)
            step += 1
            done = done_by_now()
            if log is None:
                continue
            _follow(average, network, min(recipe.average, step / (step + 20)))
            if step % 20 == 0:
                for name, value in losses.items():
                    log.add_scalar(f"loss/{name}", value.item(), step)
                bar.update(task_bar, completed=done, note=f"step {step}  loss {losses['total'].item():.3f}")
            if step % steps_per_epoch == 0 or done >= 1.0:
                figures, picture = task.validate(average)
                for name, measured in figures.items():
                    log.add_scalar(f"validation/{name}", measured, step)
                log.add_image("predictions", picture, step, dataformats="HWC")
                bar.console.print(f"step {step}: " + "  ".join(f"{k} {v:.4f}" for k, v in figures.items()))
                if figures["error"] < best_error:
                    best_error = figures["error"]
                    at = {"step": str(step), **{k: f"{v:.6g}" for k, v in figures.items()}}
                    checkpoint.write_tensors(best, average.state_dict(), {**about, **at})
            if time.monotonic() - saved >= recipe.save_every_s or done >= 1.0:
                keep()
                saved = time.monotonic()
    ranks.leave()
    return best


def _bar(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"), refresh_per_second=1, disable=not shown)


def one_step(
    task: Task,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: tuple[Tensor, ...],
    recipe: Recipe,
    done: float,
    step: int,
    device: torch.device,
) -> dict[str, Tensor]:
    """One batch learnt, at the learning rate that falls due when the share `done` of the training is over; returns the losses."""
    network.train()
    moved = tuple(tensor.to(device) for tensor in batch)
    images = moved[0].to(memory_format=torch.channels_last) if moved[0].dim() == 4 else moved[0]
    for group in optimiser.param_groups:
        group["lr"] = recipe.learning_rate * _share_of_rate(recipe.schedule, done, step)
    bf16 = torch.autocast(device.type, torch.bfloat16) if recipe.precision == "bf16" else nullcontext()
    with bf16:
        output = network(images)
    losses = task.loss(output, moved)
    optimiser.zero_grad(set_to_none=True)
    losses["total"].backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    optimiser.step()
    return losses


def _share_of_rate(schedule: str, done: float, step: int) -> float:
    if schedule == "constant":
        return 1.0
    return min(1.0, (step + 1) / 200) * (0.5 * (1 + math.cos(math.pi * done)) + 0.005)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights a little towards the network's."""
    for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)
