"""The weights that ship: an ONNX file a stage, and beside each a JSON card that says what it is; and error bars fitted to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lumbar.landmarks.consensus import ErrorModel

FOLDER = Path(__file__).parent.parent / "weights"
CLOSE_UP, CORNER = "close-up", "corner"
STAGES = ("localiser", "landmarks", CLOSE_UP, CORNER)
PRECISIONS = ("fp32", "int8")
QUANTISED = ("landmarks", CLOSE_UP)
"""The stages that there are int8 files of; the others take little time, and stay fp32."""

CORNER_ERRORS = "corner-errors"
"""The file, without .json, that `lumbar calibrate` writes into a folder of weights: how far corners are off on somebody's own films."""


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

    @property
    def of_fp32(self) -> str:
        """The same of the fp32 file that it was made of, where it is int8."""
        return str(self.card.get("of_sha256", self.sha256))


def load_weights(folder: Path, stage: str, precision: str = "fp32") -> Weights:
    """The weights of `stage` in `folder`, at one of `PRECISIONS`; int8 is fp32 where a stage is not one of `QUANTISED`.

    Raises ValueError for an unknown stage or precision, and where int8 weights were made of other ones than lie beside them;
    FileNotFoundError where they are missing.
    """
    if stage not in STAGES:
        raise ValueError(f"stage must be one of {', '.join(STAGES)}; got {stage!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    card = folder / f"{stage}.json"
    if not card.is_file():
        raise FileNotFoundError(f"no weights for {stage} in {folder}: write them with `lumbar export {stage}`")
    about = json.loads(card.read_text())
    fp32 = Weights(folder / f"{stage}.onnx", about["height"], about["width"], about["method"], about)
    return _in_int8(fp32, folder, stage) if precision == "int8" and stage in QUANTISED else fp32


def _in_int8(fp32: Weights, folder: Path, stage: str) -> Weights:
    card = folder / f"{stage}.int8.json"
    if not card.is_file():
        raise FileNotFoundError(f"no int8 weights for {stage} in {folder}: write them with `lumbar quantise`")
    about = json.loads(card.read_text())
    if about["of_sha256"] != fp32.sha256:
        raise ValueError(
            f"the int8 weights for {stage} in {folder} are those of others: write them with `lumbar quantise`"
        )
    return replace(fp32, path=folder / f"{stage}.int8.onnx", card={**fp32.card, **about})


def weights_in(folder: Path, precision: str = "fp32") -> dict[str, Weights]:
    """Those of every stage in `folder`; the close-up's and the corner's may be missing. Raises as `load_weights` does where another is."""
    stages = [stage for stage in STAGES if stage not in (CLOSE_UP, CORNER) or (folder / f"{stage}.json").is_file()]
    return {stage: load_weights(folder, stage, precision) for stage in stages}


def fitted_errors(weights: Mapping[str, Weights]) -> ErrorModel | None:
    """How far corners are off with these weights, as `lumbar calibrate` wrote it beside the landmarks'; None where it did not.

    Raises ValueError where the file is damaged, or was fitted to other weights than lie beside it.
    """
    file = _errors_file(weights)
    if not file.is_file():
        return None
    try:
        said = json.loads(file.read_text())
        model, fitted_to = ErrorModel.from_json(said["errors"]), said["of_sha256"]
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ValueError(
            f"{file} holds no error bars ({problem}): write it with `lumbar calibrate`, or remove it"
        ) from None
    if fitted_to != {stage: each.of_fp32 for stage, each in weights.items()}:
        raise ValueError(f"{file} was fitted to other weights than lie beside it: write it with `lumbar calibrate`")
    return model


def errors_json(model: ErrorModel, weights: Mapping[str, Weights], about: Mapping[str, Any]) -> str:
    """What `fitted_errors` reads; about: the films that it was fitted on, and the like."""
    fitted_to = {stage: each.of_fp32 for stage, each in weights.items()}
    return json.dumps({"errors": model.to_json(), "of_sha256": fitted_to, "about": dict(about)}, indent=1) + "\n"


def sha256_of(weights: Mapping[str, Weights]) -> dict[str, str]:
    """Of each file that a reading with these weights depends on, by stage; of fitted error bars, too."""
    file = _errors_file(weights)
    errors = {CORNER_ERRORS: hashlib.sha256(file.read_bytes()).hexdigest()} if file.is_file() else {}
    return {**{stage: each.sha256 for stage, each in weights.items()}, **errors}


def _errors_file(weights: Mapping[str, Weights]) -> Path:
    return weights["landmarks"].path.parent / f"{CORNER_ERRORS}.json"
