"""A training run on disk: everything in one safetensors file, written aside and renamed, never unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lumbar.whole_file import written_aside


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: optimiser steps and seconds spent, and the best validation error so far."""

    step: int = 0
    seconds: float = 0.0
    best_error: float = float("inf")


def save(
    path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write network, averaged network, optimiser state and progress."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": torch.as_tensor(value) for key, value in state.items()}
    about = {"step": progress.step, "seconds": progress.seconds, "best_error": progress.best_error}
    write_tensors(path, tensors, {"progress": json.dumps(about)})


def load(path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    """Read back what `save` wrote, in place."""
    tensors, metadata = read_tensors(path)
    network.load_state_dict(_below("network.", tensors))
    average.load_state_dict(_below("average.", tensors))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _below("optimiser.", tensors).items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    return Progress(**json.loads(metadata["progress"]))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """One safetensors file, whole or not at all."""
    with written_aside(path) as aside:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, aside, metadata)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the metadata."""
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
