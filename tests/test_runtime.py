"""Where the networks run: the same answers, or one clear line."""

import sys

import numpy as np
import pytest

from lumbar.runtime import FOLDER, OnnxFunction, OpenVinoFunction, load_weights, network_at
from tests.command import lumbar
from tests.test_cli import EXAMPLE


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("stage", ["localiser", "landmarks", "close-up", "corner"])
def test_openvino_says_what_onnx_runtime_says(stage, precision):
    """In fp32 to rounding, in int8 nearly: what is added up before it is rounded differs."""
    weights = load_weights(FOLDER, stage, precision)
    channels = {"close-up": (2,), "corner": (22, 4)}.get(stage, (3,))
    batch = np.random.default_rng(0).standard_normal((2, *channels, weights.height, weights.width)).astype(np.float32)
    theirs, ours = (network_at(weights.path, 1, device)(batch) for device in ("openvino", "cpu"))
    rounding = 1e-3 if precision == "fp32" else 0.2  # noise lies beyond the ranges that int8 was made for
    for one, other in zip(theirs, ours, strict=True):
        assert one.shape == other.shape
        assert np.sqrt(((one - other) ** 2).mean()) <= rounding * np.sqrt((other**2).mean())


def test_a_device_that_is_not_there_is_said_in_one_line(tmp_path):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    done = lumbar("read", EXAMPLE / "neutral.dcm", "--out", tmp_path, "--device", "cuda")
    assert done.returncode == 2 and "onnxruntime-gpu" in done.stderr and "Traceback" not in done.stderr


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    weights = load_weights(FOLDER, "close-up")
    with pytest.raises(ValueError, match="device must be one of cpu, cuda, openvino; got 'tpu'"):
        network_at(weights.path, 1, "tpu")
    with pytest.raises(FileNotFoundError, match="no network at"):
        network_at(tmp_path / "none.onnx", 1, "openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ValueError, match=r"pip install 'lumbar\[openvino\]'"):
        network_at(weights.path, 1, "openvino")


def test_the_default_is_onnx_runtime():
    weights = load_weights(FOLDER, "close-up")
    assert isinstance(network_at(weights.path), OnnxFunction)
    assert isinstance(network_at(weights.path, 1, "openvino"), OpenVinoFunction)
