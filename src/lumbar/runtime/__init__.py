"""An ONNX file as a plain function array -> arrays, and the weights that ship."""

from lumbar.runtime.onnx_function import OnnxFunction
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
    "FOLDER",
    "PRECISIONS",
    "QUANTISED",
    "STAGES",
    "OnnxFunction",
    "Weights",
    "load_weights",
    "weights_in",
]
