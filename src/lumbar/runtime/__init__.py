"""An ONNX file as a plain function array -> arrays, and the weights that ship."""

from lumbar.runtime.devices import DEVICES, network_at
from lumbar.runtime.onnx_function import OnnxFunction
from lumbar.runtime.openvino_function import OpenVinoFunction
from lumbar.runtime.weights import (
    CLOSE_UP,
    CORNER,
    CORNER_ERRORS,
    FOLDER,
    PRECISIONS,
    QUANTISED,
    STAGES,
    Weights,
    errors_json,
    fitted_errors,
    load_weights,
    sha256_of,
    weights_in,
)

__all__ = [
    "CLOSE_UP",
    "CORNER",
    "CORNER_ERRORS",
    "DEVICES",
    "FOLDER",
    "PRECISIONS",
    "QUANTISED",
    "STAGES",
    "OnnxFunction",
    "OpenVinoFunction",
    "Weights",
    "errors_json",
    "fitted_errors",
    "load_weights",
    "network_at",
    "sha256_of",
    "weights_in",
]
