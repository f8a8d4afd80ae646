"""Training by several processes in step, one a graphics card, as torchrun starts them; by one alone where it did not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of so many processes this one is.

    The first leads: it validates, logs and saves. All compute gradients, of samples of their own.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def here(cls) -> Ranks:
        """As torchrun says in the environment."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def leads(self) -> bool:
        """Whether this is the first."""
        return self.rank == 0

    def join(self, device: torch.device) -> None:
        """Wait for the others, and talk with them from now on."""
        if self.world > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def in_step(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network with the gradients of all ranks averaged as it goes backwards."""
        if self.world == 1:
            return network
        return DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)

    def agreed(self, share: float, device: torch.device) -> float:
        """What the first says, so that all end at the same step."""
        if self.world == 1:
            return share
        said: Tensor = torch.tensor([share], dtype=torch.float64, device=device)
        distributed.broadcast(said, src=0)
        return float(said)

    def leave(self) -> None:
        """Wait until all have come here, and part."""
        if self.world > 1:
            barrier: Any = distributed.barrier
            barrier()
            distributed.destroy_process_group()


ALONE = Ranks()
