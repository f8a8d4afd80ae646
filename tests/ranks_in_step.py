"""A tiny training, for torchrun: rank r of w takes the samples r, r + w, ... of each step; the last weights go to the folder given."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lumbar.training.loop import Recipe, Task, train
from lumbar.training.ranks import Ranks

STEPS, SAMPLES = 12, 4


def run(folder: Path) -> None:
    ranks = Ranks.here()
    torch.manual_seed(0)
    network = nn.Conv2d(3, 2, 3)
    films = torch.randn(STEPS * SAMPLES, 3, 8, 8, generator=torch.Generator().manual_seed(1))

    def batches(first: int):
        for start in range(first, len(films), SAMPLES):
            yield (films[start : start + SAMPLES][ranks.rank :: ranks.world],)

    def loss(output, batch):
        return {"total": ((output - batch[0][:, :2, 1:-1, 1:-1]) ** 2).mean()}

    def validate(network):
        return {"error": float(network.weight.detach().square().sum())}, np.zeros((8, 8, 3), np.uint8)

    size = SAMPLES // ranks.world
    recipe = Recipe(1, STEPS * SAMPLES, size, 1e-2, precision="fp32", workers=0)
    train(Task(network, batches, loss, validate), recipe, folder, torch.device("cpu"), {})
    torch.save(network.state_dict(), folder / f"rank-{ranks.rank}.pt")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
