"""OpenVINO behind the same call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class OpenVinoFunction:
    """A network file as a function, as `OnnxFunction` is one, run by OpenVINO on the CPU.

    fp32 stays fp32: OpenVINO alone would take bfloat16 where the processor has it. Raises ValueError where OpenVINO is not installed.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        try:
            import openvino
        except ImportError:
            raise ValueError("device openvino needs one more package: pip install 'lumbar[openvino]'") from None
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        model = openvino.compile_model(path, "CPU", options)
        self._run = model.create_infer_request()
        self._outputs = list(model.outputs)

    def __call__(self, batch: NDArray[np.float32]) -> tuple[NDArray[Any], ...]:
        """Run the network."""
        found = self._run.infer([np.ascontiguousarray(batch, dtype=np.float32)])
        return tuple(np.array(found[output]) for output in self._outputs)
