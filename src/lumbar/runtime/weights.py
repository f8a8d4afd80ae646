"""The weights that ship: an ONNX file a stage, and beside each a JSON card that says what it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "weights"
CLOSE_UP = "close-up"
STAGES = ("localiser", "landmarks", CLOSE_UP)


@dataclass(frozen=True)
class Weights:
    """One stage's network: its file, its input size, its method, and the rest of its card."""

    path: Path
    height: int
    width: int
    method: str
    card: dict[str, Any]

    @cached_property
    def sha256(self) -> str:
        """Of the file as it lies there."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def load_weights(folder: Path, stage: str) -> Weights:
    """The weights of `stage` in `folder`. Raises ValueError for an unknown stage, FileNotFoundError where they are missing."""
    if stage not in STAGES:
        raise ValueError(f"stage must be one of {', '.join(STAGES)}; got {stage!r}")
    card = folder / f"{stage}.json"
    if not card.is_file():
        raise FileNotFoundError(f"no weights for {stage} in {folder}: write them with `lumbar export {stage}`")
    about = json.loads(card.read_text())
    return Weights(folder / f"{stage}.onnx", about["height"], about["width"], about["method"], about)


def weights_in(folder: Path) -> dict[str, Weights]:
    """Those of every stage in `folder`; the close-up's may be missing. Raises FileNotFoundError where another is."""
    stages = [stage for stage in STAGES if stage != CLOSE_UP or (folder / f"{CLOSE_UP}.json").is_file()]
    return {stage: load_weights(folder, stage) for stage in stages}
