"""An ONNX file as a plain function array -> arrays, and the weights that ship."""

from lumbar.runtime.onnx_function import OnnxFunction
from lumbar.runtime.weights import FOLDER, Weights, load_weights, shipped

__all__ = ["FOLDER", "OnnxFunction", "Weights", "load_weights", "shipped"]
