"""How large a network is, and what it answers to an input that no random generator made."""

import numpy as np
import torch


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def frozen_forward(network: torch.nn.Module, *shapes: tuple[int, ...], training: bool = False) -> list[float]:
    """Mean absolute value of each output, with weights and inputs that do not depend on any random generator.

    With `training` the norms use the batch's own statistics. That keeps the signal of a deep chain alive, but over
    few cells it magnifies rounding until every processor has an answer of its own: only where it does not.
    """
    for index, (name, p) in enumerate(network.named_parameters()):
        if p.ndim == 1:
            torch.nn.init.constant_(p, float(name.endswith("weight")))
        else:
            flat = torch.arange(p.numel(), dtype=torch.float64)
            p.data = (torch.sin(flat * 0.37 + index) / p[0].numel() ** 0.5).reshape(p.shape)
    inputs = [torch.cos(torch.arange(np.prod(s), dtype=torch.float64) * 0.11).reshape(s) for s in shapes]
    with torch.no_grad():
        outputs = network.train(training).double()(*inputs)
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    return [float(o.abs().mean()) for o in outputs]
