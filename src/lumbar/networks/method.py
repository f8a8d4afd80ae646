"""A landmark method: network, loss and decoding under one name. Training and evaluation never ask which one it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn

from lumbar.landmarks.spine import SpineLandmarks


@dataclass(frozen=True, slots=True)
class LandmarkMethod:
    """One way to find the 22 landmarks in a crop that faces left.

    build: a fresh network, (B, 3, H, W) standardised crops -> a tuple of maps, named by `outputs`.
    loss: maps and true points (B, 22, 2) in input pixels (NaN = absent), height, width -> named losses with their `total`.
    decode: the maps of one crop as arrays without the batch axis -> landmarks in input pixels.
    """

    name: str
    outputs: tuple[str, ...]
    build: Callable[[], nn.Module]
    loss: Callable[[tuple[Tensor, ...], Tensor, int, int], dict[str, Tensor]]
    decode: Callable[[tuple[NDArray[Any], ...]], SpineLandmarks]
