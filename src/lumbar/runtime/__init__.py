"""An ONNX file as a plain function array -> arrays, and the weights that ship."""

from lumbar.runtime.devices import DEVICES, network_at
from lumbar.runtime.onnx_function import OnnxFunction
from lumbar.runtime.openvino_function import OpenVinoFunction
from lumbar.runtime.weights import (
    CLOSE_UP,
    FOLDER,
    PRECISIONS,
    QUANTISED,
    STAGES,
    Weights,
    load_weights,
    weights_in,
)

__all__ = [
    "CLOSE_UP",
    "DEVICES",
    "FOLDER",
    "PRECISIONS",
    "QUANTISED",
    "STAGES",
    "OnnxFunction",
    "OpenVinoFunction",
    "Weights",
    "load_weights",
    "network_at",
    "weights_in",
]
