"""Where a network file is run."""

from __future__ import annotations

from pathlib import Path

from lumbar.runtime.onnx_function import OnnxFunction
from lumbar.runtime.openvino_function import OpenVinoFunction

DEVICES = ("cpu", "cuda", "openvino")


def network_at(path: Path, threads: int | None = None, device: str = "cpu") -> OnnxFunction | OpenVinoFunction:
    """The network in that file as a function, run on one of `DEVICES`; openvino is the CPU, too.

    Raises FileNotFoundError where there is no such file, ValueError where the device is unknown or cannot be used.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}; got {device!r}")
    if not path.is_file():
        raise FileNotFoundError(f"no network at {path}; write one with `lumbar export`")
    return OpenVinoFunction(path, threads) if device == "openvino" else OnnxFunction(path, threads, device)
