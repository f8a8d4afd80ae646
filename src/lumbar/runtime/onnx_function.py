"""ONNX Runtime behind one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxFunction:
    """A network file as a function: a batch (B, 3, H, W) float32 in, a tuple of arrays out.

    device: "cpu" or "cuda". Raises FileNotFoundError where there is no such file, ValueError where ONNX Runtime cannot use the device.
    """

    def __init__(self, path: Path, threads: int | None = None, device: str = "cpu") -> None:
        if not path.is_file():
            raise FileNotFoundError(f"no network at {path}; write one with `lumbar export`")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        # The arena keeps every peak it has seen; films come one at a time, and memory matters more.
        options.enable_cpu_mem_arena = False
        provider = _PROVIDERS[device]
        if provider not in onnxruntime.get_available_providers():
            raise ValueError(
                f"device {device} is not in this ONNX Runtime: pip uninstall onnxruntime, then pip install onnxruntime-gpu"
            )
        self._session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        if self._session.get_providers()[0] != provider:
            raise ValueError(f"device {device} was not found by ONNX Runtime: are its driver and libraries installed?")
        self._input = self._session.get_inputs()[0].name

    def __call__(self, batch: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
        """Run the network."""
        return tuple(self._session.run(None, {self._input: np.ascontiguousarray(batch, dtype=np.float32)}))
