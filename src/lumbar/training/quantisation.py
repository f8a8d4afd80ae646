"""Networks in 8-bit integers: less than half the time on processors with dot products of bytes, and nearly the same answers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from lumbar.pipeline import Reader, networks_of
from lumbar.radiograph import Radiograph
from lumbar.runtime import CLOSE_UP, QUANTISED, OnnxFunction, Weights, sha256_of
from lumbar.whole_file import written_aside

Batch = NDArray[np.float32]

_KEPT = {"landmarks": 9, CLOSE_UP: 4}
"""How many of each network's last convolutions stay fp32: its heads, which the corners' places are read from; of several that answer
together, of each."""


def quantise(weights: Mapping[str, Weights], folder: Path, films: Iterable[Radiograph]) -> dict[str, float]:
    """Write int8 files of the networks that can be had so into `folder`, each with its card, made of the fp32 files of `weights`.

    films: are read once, and what the networks see of them sets the range of every layer. Returns how far each network's outputs
    are from those in fp32 on these inputs: the root of the mean square of the differences over that of the outputs.
    Weights are int8, a scale a channel, of seven bits, so that x86 processors without VNNI do not overflow when they add two products;
    activations are uint8, which is the pair that x86 multiplies fastest.
    """
    seen = _seen(weights, films)
    differences = {}
    for stage in QUANTISED:
        if stage not in weights:
            continue
        fp32, batches = weights[stage], seen[stage]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{stage}.int8.onnx"
        with written_aside(path) as aside:
            _quantised(fp32.path, aside, batches, _KEPT[stage])
            differences[stage] = _difference(OnnxFunction(aside, 1), OnnxFunction(fp32.path, 1), batches)
        card = {"of_sha256": fp32.sha256, "inputs": len(batches), "difference_to_fp32": differences[stage]}
        with written_aside(path.with_suffix(".json")) as aside:
            aside.write_text(json.dumps(card, indent=1) + "\n")
    return differences


def _seen(weights: Mapping[str, Weights], films: Iterable[Radiograph]) -> dict[str, list[Batch]]:
    """What each network is given while the films are read."""
    seen: dict[str, list[Batch]] = {stage: [] for stage in weights}

    def noting(stage: str) -> Callable[[Batch], tuple[NDArray[Any], ...]]:
        function = OnnxFunction(weights[stage].path)

        def run(batch: Batch) -> tuple[NDArray[Any], ...]:
            seen[stage].append(batch.copy())
            return function(batch)

        return run

    reader = Reader(networks_of(weights, {stage: noting(stage) for stage in weights}), sha256_of(weights))
    for film in films:
        reader.read(film)
    if not all(seen.values()):
        raise ValueError("the films must show lumbar spines: no network after the localiser was given any")
    return seen


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, batches: Iterable[Batch]) -> None:
        self._feeds: Iterator[dict[str, Batch]] = iter([{name: batch} for batch in batches])

    def get_next(self) -> dict[str, Batch] | None:
        return next(self._feeds, None)


def _quantised(path: Path, out: Path, batches: Iterable[Batch], kept: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared = Path(folder) / "plain.onnx", Path(folder) / "prepared.onnx"
        onnx.save(_in_full(onnx.load(path)), plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        model = onnx.load(prepared)
        quantize_static(
            prepared,
            out,
            _Batches(model.graph.input[0].name, batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=heads(model, kept),
        )


def heads(model: onnx.ModelProto, kept: int) -> list[str]:
    """The last convolutions of each network in the model: of several that answer together the weights' names begin with networks.NUMBER."""
    of_network: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            owner, _, rest = node.input[1].partition(".")
            of_network.setdefault(rest.partition(".")[0] if owner == "networks" else "", []).append(node.name)
    return [name for names in of_network.values() for name in names[-kept:]]


def _in_full(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with its weights in fp32 where they are kept as fp16 and cast, which the quantiser does not look through."""
    graph = model.graph
    halves = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT16}
    casts = {node.input[0]: node.output[0] for node in graph.node if node.op_type == "Cast" and node.input[0] in halves}
    nodes = [node for node in graph.node if node.op_type != "Cast" or node.input[0] not in halves]
    weights = [
        numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float32), casts[t.name]) if t.name in casts else t
        for t in graph.initializer
    ]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
    return model


def _difference(one: OnnxFunction, other: OnnxFunction, batches: Iterable[Batch]) -> float:
    """The largest over the outputs."""
    pairs = [(ours, theirs) for batch in batches for ours, theirs in zip(one(batch), other(batch), strict=True)]
    outputs = len(one(next(iter(batches))))
    worst = 0.0
    for k in range(outputs):
        apart = np.concatenate([np.ravel(ours - theirs) for ours, theirs in pairs[k::outputs]])
        size = np.concatenate([np.ravel(theirs) for _, theirs in pairs[k::outputs]])
        worst = max(worst, float(np.sqrt((apart**2).mean() / (size**2).mean())))
    return worst
