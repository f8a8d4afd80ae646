"""A landmark method: network, loss and decoding under one name. Training and evaluation never ask which one it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn

from lumbar.landmarks.decoding import (
    LEVELS_REACH,
    find_candidates,
    find_level_candidates,
    name_by_level,
    name_by_order,
    to_landmarks,
)
from lumbar.landmarks.spine import SpineLandmarks
from lumbar.networks.lsldnet import LSLDNet
from lumbar.networks.lsldnet_targets import lsld_loss, make_targets, naming_loss


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


_MAPS = ("heatmap", "centre_offset", "corner_offset")


def lsld_net() -> LandmarkMethod:
    """The paper's: one heatmap channel, offsets learnt in the centre's cell, vertebrae named by their order."""

    def loss(maps: tuple[Tensor, ...], points: Tensor, height: int, width: int) -> dict[str, Tensor]:
        return lsld_loss(_three(maps), make_targets(points, height, width, heatmap_channels=1, reach=0))

    def decode(maps: tuple[NDArray[Any], ...]) -> SpineLandmarks:
        heatmap, centre_offset, corner_offset = maps
        found = find_candidates(heatmap, centre_offset, corner_offset)
        return to_landmarks(found, name_by_order(found))

    return LandmarkMethod("lsld-net", _MAPS, lambda: LSLDNet(heatmap_channels=1), loss, decode)


def lsld_net_levels() -> LandmarkMethod:
    """Ours: a heatmap channel for each level, offsets learnt around the centre too, names chosen jointly over the chain."""

    def loss(maps: tuple[Tensor, ...], points: Tensor, height: int, width: int) -> dict[str, Tensor]:
        targets = make_targets(points, height, width, heatmap_channels=6, reach=LEVELS_REACH)
        parts = lsld_loss(_three(maps), targets)
        naming = naming_loss(maps[0], targets.heatmap)
        return {**parts, "naming": naming, "total": parts["total"] + naming}

    def decode(maps: tuple[NDArray[Any], ...]) -> SpineLandmarks:
        found = find_level_candidates(maps)
        return to_landmarks(found, name_by_level(found))

    return LandmarkMethod("lsld-net-levels", _MAPS, lambda: LSLDNet(heatmap_channels=6), loss, decode)


METHODS: dict[str, Callable[[], LandmarkMethod]] = {"lsld-net": lsld_net, "lsld-net-levels": lsld_net_levels}
"""Every method by its name on the command line."""


def _three(maps: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    heatmap, centre_offset, corner_offset = maps
    return heatmap, centre_offset, corner_offset
