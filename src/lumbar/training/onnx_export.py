"""Torch weights -> an ONNX file that says the same, half as large, with its card beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from lumbar.runtime import OnnxFunction
from lumbar.whole_file import written_aside

TOLERANCE = 1e-4
"""How far ONNX Runtime may be from torch, relative to the largest value of an output."""

_HALVED_FROM = 1024  # smaller tensors stay fp32: they weigh nothing


def export_onnx(
    network: nn.Module, path: Path, shape: tuple[int, ...], outputs: tuple[str, ...], card: dict[str, Any]
) -> dict[str, float]:
    """Write `path` (.onnx) and its card (.json); returns the two differences that the card holds.

    shape: of an input, of which height and width come last.
    difference_to_torch: of the file in full precision, on inputs of the size that is read, one film and three at a time,
    relative to the largest value of each output. Raises ValueError where it exceeds `TOLERANCE`.
    change_by_halving: what keeping the weights in half precision then changes, on the same scale.
    """
    network = network.cpu().eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    program = torch.onnx.export(
        network,
        (torch.zeros(2, *shape),),
        dynamo=True,
        input_names=["film"],
        output_names=list(outputs),
        dynamic_shapes=({0: torch.export.Dim("films", min=1, max=64)},),
        verbose=False,
    )
    assert program is not None
    program.optimize()
    model = _without_traces(program.model_proto)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as aside:
        onnx.save(model, aside, format="protobuf")
        difference = compare(network, aside, shape)
        if difference > TOLERANCE:
            raise ValueError(f"ONNX differs from torch by {difference:.1e}, allowed is {TOLERANCE:.0e}: not written")
        onnx.save(_halved(model), aside, format="protobuf")
        measured = {"difference_to_torch": difference, "change_by_halving": compare(network, aside, shape)}
    about = {**card, "height": shape[-2], "width": shape[-1], "outputs": list(outputs), **measured}
    with written_aside(path.with_suffix(".json")) as aside:
        aside.write_text(json.dumps(about, indent=1) + "\n")
    return measured


def compare(network: nn.Module, path: Path, shape: tuple[int, ...]) -> float:
    """Largest difference between the ONNX file and torch over all outputs, relative to each output's largest value."""
    function = OnnxFunction(path)
    worst = 0.0
    for count in (1, 3):
        generator = torch.Generator().manual_seed(count)
        batch = torch.randn(count, *shape, generator=generator)
        with torch.no_grad():
            expected = network(batch)
        expected = expected if isinstance(expected, tuple) else (expected,)
        for theirs, ours in zip(function(batch.numpy()), expected, strict=True):
            scale = max(1.0, float(ours.abs().max()))
            worst = max(worst, float(np.abs(theirs - ours.numpy()).max()) / scale)
    return worst


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model without the lines of code that torch notes at every node, with the paths of the machine that they lie on."""
    for node in model.graph.node:
        del node.metadata_props[:]
    return model


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with large fp32 weights kept as fp16 and cast on loading, which ONNX Runtime folds away."""
    graph = model.graph
    casts, kept = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < _HALVED_FROM:
            kept.append(tensor)
            continue
        small = tensor.name + ".fp16"
        kept.append(numpy_helper.from_array(values.astype(np.float16), small))
        casts.append(helper.make_node("Cast", [small], [tensor.name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend([*casts, *nodes])
    del graph.value_info[:]
    return model
