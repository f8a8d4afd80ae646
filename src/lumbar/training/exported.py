"""Back from an exported ONNX file to torch weights that training can go on from.

The exporter folds each batch norm into the convolution before it, and what was folded is lost. But a batch norm that gives every
channel back the mean and deviation that it takes away says the same, and says it while training, too, where those are the batch's.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

_HALF, _FOLDED = ".fp16", ".weight_bias"
_FIRST = "networks.0."  # of several that answer together


@torch.no_grad()
def load_exported(network: nn.Module, path: Path, inputs: Iterable[Tensor]) -> None:
    """Fill `network` with the weights of a file that `export_onnx` wrote, which then says what the file says.

    Of a file of several networks that answer together it takes the first's.

    inputs: batches (B, C, H, W) like those that it will be trained on; the batch norms take their statistics from these.
    Raises ValueError where the file is not ONNX or holds other weights than this network's.
    """
    given = list(inputs)
    kept = _tensors(path)
    folded = _folded_into(network, given[0])
    norms = {id(parameter) for norm in folded for parameter in norm.parameters()}
    try:
        for name, parameter in network.named_parameters():
            if id(parameter) not in norms:
                parameter.copy_(kept[name])
        for norm, (name, convolution) in folded.items():
            bias = kept[name + (_FOLDED if convolution.bias is None else ".bias")]
            _set(norm, torch.zeros_like(bias), torch.full_like(bias, 1 - norm.eps), bias)
            if convolution.bias is not None:
                convolution.bias.zero_()
    except (KeyError, RuntimeError) as problem:
        raise ValueError(f"{path} holds other weights than this network's: {problem}") from None
    moments = {norm: _Moments() for norm in folded}
    hooks = [norm.register_forward_pre_hook(seen) for norm, seen in moments.items()]
    network.eval()
    for batch in given:
        network(batch)
    for hook in hooks:
        hook.remove()
    for norm, seen in moments.items():
        _set(norm, seen.mean, seen.variance, norm.bias + seen.mean)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        initializers = onnx.load(path).graph.initializer
    except Exception as problem:  # what onnx raises here is protobuf's, which is not ours to import
        raise ValueError(f"{path} is not an ONNX file: {problem}") from None
    values = {t.name.removesuffix(_HALF).removeprefix(_FIRST): numpy_helper.to_array(t) for t in initializers}
    return {name: torch.from_numpy(array.copy()) for name, array in values.items()}


def _folded_into(network: nn.Module, batch: Tensor) -> dict[nn.BatchNorm2d, tuple[str, nn.Conv2d]]:
    """Each batch norm, and the convolution whose output it gets."""
    made: list[tuple[Tensor, str, nn.Conv2d]] = []
    pairs: dict[nn.BatchNorm2d, tuple[str, nn.Conv2d]] = {}
    hooks = []

    def note(name: str, module: nn.Conv2d, output: Tensor) -> None:
        made.append((output, name, module))

    def pair(norm: nn.BatchNorm2d, given: Tensor) -> None:
        for output, name, module in made:
            if output is given:
                pairs[norm] = name, module

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(lambda of, _, output, name=name: note(name, of, output)))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(lambda of, given: pair(of, given[0])))
    network.eval()
    network(batch[:1])
    for hook in hooks:
        hook.remove()
    return pairs


class _Moments:
    """Mean and variance of each channel over all that goes into a module."""

    def __init__(self) -> None:
        self.count, self.sum, self.squares = 0, torch.zeros(1), torch.zeros(1)

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].double()
        self.count += values.numel() // values.shape[1]
        self.sum = self.sum + values.sum((0, 2, 3))
        self.squares = self.squares + (values**2).sum((0, 2, 3))

    @property
    def mean(self) -> Tensor:
        return self.sum / self.count

    @property
    def variance(self) -> Tensor:
        return (self.squares / self.count - self.mean**2).clamp_min(0.0)


def _set(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, bias: Tensor) -> None:
    """Statistics of the batch norm, the factor that undoes them, and what it adds."""
    norm.load_state_dict(
        {
            "running_mean": mean,
            "running_var": variance,
            "weight": (variance + norm.eps).sqrt(),
            "bias": bias,
            "num_batches_tracked": torch.tensor(0),
        }
    )
