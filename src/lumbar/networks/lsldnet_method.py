"""The paper's network as landmark methods: with its one heatmap, and with one for each level."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from lumbar.landmarks.decoding import (
    LEVELS_REACH,
    find_candidates,
    find_level_candidates,
    name_by_level,
    name_by_order,
    to_landmarks,
)
from lumbar.landmarks.spine import SpineLandmarks
from lumbar.networks.lsldnet import Attention, LSLDNet
from lumbar.networks.lsldnet_targets import lsld_loss, make_targets, naming_loss
from lumbar.networks.method import LandmarkMethod

MAPS = ("heatmap", "centre_offset", "corner_offset")

_NAMES: dict[Attention, str] = {
    "none": "lsld-net-base",
    "channel": "lsld-net-without-sae",
    "channel+spatial": "lsld-net",
}


def lsld_net(attention: Attention = "channel+spatial") -> LandmarkMethod:
    """The paper's: one heatmap channel, offsets learnt in the centre's cell, vertebrae named by their order.

    attention: less than all of it gives the second and third row of the ablation (Table III).
    """

    def loss(maps: tuple[Tensor, ...], points: Tensor, height: int, width: int) -> dict[str, Tensor]:
        return lsld_loss(three_maps(maps), make_targets(points, height, width, heatmap_channels=1, reach=0))

    def build() -> LSLDNet:
        return LSLDNet(heatmap_channels=1, attention=attention)

    return LandmarkMethod(_NAMES[attention], MAPS, build, loss, decode_by_order)


def decode_by_order(maps: tuple[NDArray[Any], ...]) -> SpineLandmarks:
    """The six strongest centres and their corners, L1 to S1 from the top down; heatmap (1, h, w), offsets (2, h, w), (8, h, w)."""
    heatmap, centre_offset, corner_offset = maps
    found = find_candidates(heatmap, centre_offset, corner_offset)
    return to_landmarks(found, name_by_order(found))


def lsld_net_levels() -> LandmarkMethod:
    """Ours: a heatmap channel for each level, offsets learnt around the centre too, names chosen jointly over the chain."""

    def loss(maps: tuple[Tensor, ...], points: Tensor, height: int, width: int) -> dict[str, Tensor]:
        targets = make_targets(points, height, width, heatmap_channels=6, reach=LEVELS_REACH)
        parts = lsld_loss(three_maps(maps), targets)
        naming = naming_loss(maps[0], targets.heatmap)
        return {**parts, "naming": naming, "total": parts["total"] + naming}

    def decode(maps: tuple[NDArray[Any], ...]) -> SpineLandmarks:
        found = find_level_candidates(maps)
        return to_landmarks(found, name_by_level(found))

    return LandmarkMethod("lsld-net-levels", MAPS, lambda: LSLDNet(heatmap_channels=6), loss, decode)


def three_maps(maps: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Heatmap, centre offset and corner offset of a network that answers with these."""
    heatmap, centre_offset, corner_offset = maps
    return heatmap, centre_offset, corner_offset
