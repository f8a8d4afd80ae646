"""Stacked Hourglass Networks for Human Pose Estimation (Newell, Yang & Deng, ECCV 2016), with 22 landmarks for joints.

An hourglass pools features down to a few cells and brings them up again; the next one reads its heatmaps and corrects them.
Layers are those of the authors' PyTorch release (one residual in every place): 25.5 M parameters in 8 stacks, where Sun et al. (2019)
count 25.1 M for them.

Left open: how wide a Gaussian is on a larger film (the paper's is 1 cell of a 64 x 64 map, and so is ours on any), what becomes
of joints that are not annotated (the release asks for empty heatmaps; we ask nothing), and inputs that are not a multiple of 64
(we pool the last row of an odd map alone). The deepest map has H/64 x W/64 cells: with only two of them in a batch, 128 x 64 and one
film, batch norm blows the gradients up and the stacks before the last do not learn.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from lumbar.baselines.heatmaps import gaussian_heatmaps, mean_over_present, present, squared_error
from lumbar.landmarks.heatmap_decoding import decode_peaks
from lumbar.landmarks.spine import COUNT, SpineLandmarks
from lumbar.networks.method import LandmarkMethod

STRIDE = 4
SIGMA_CELLS = 1.0
_FEATURES = 256
_DEPTH = 4


class Residual(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, each after norm and ReLU, half as wide inside as outside (Fig. 4, left)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        inside = outputs // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, inside, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(inside), nn.Conv2d(inside, inside, 3, padding=1)
        self.bn3, self.conv3 = nn.BatchNorm2d(inside), nn.Conv2d(inside, outputs, 1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        y: Tensor = self.conv1(F.relu(self.bn1(x)))
        y = self.conv2(F.relu(self.bn2(y)))
        y, past = self.conv3(F.relu(self.bn3(y))), self.skip(x)
        return torch.add(y, past)


class Hourglass(nn.Module):
    """Fig. 3: half the resolution, the same again inside until `depth` is used up, back up, plus what stayed above."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.above = Residual(width, width)
        self.down = Residual(width, width)
        self.inside = Hourglass(depth - 1, width) if depth > 1 else Residual(width, width)
        self.up = Residual(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        above: Tensor = self.above(x)
        low = self.up(self.inside(self.down(F.max_pool2d(x, 2, ceil_mode=True))))
        raised = F.interpolate(low, scale_factor=2, mode="nearest")
        return above + raised[..., : x.shape[2], : x.shape[3]]


class StackedHourglass(nn.Module):
    """An image (B, 3, H, W), H and W multiples of 32, to the heatmaps (B, 22, H/4, W/4) of each stack, the last one the best."""

    def __init__(self, stacks: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            Residual(64, 128),
            nn.MaxPool2d(2),
            Residual(128, 128),
            Residual(128, _FEATURES),
        )
        self.hourglasses = nn.ModuleList(
            nn.Sequential(
                Hourglass(_DEPTH, _FEATURES),
                Residual(_FEATURES, _FEATURES),
                nn.Conv2d(_FEATURES, _FEATURES, 1),
                nn.BatchNorm2d(_FEATURES),
                nn.ReLU(),
            )
            for _ in range(stacks)
        )
        self.heatmaps = nn.ModuleList(nn.Conv2d(_FEATURES, COUNT, 1) for _ in range(stacks))
        self.features_back = nn.ModuleList(nn.Conv2d(_FEATURES, _FEATURES, 1) for _ in range(stacks - 1))
        self.heatmaps_back = nn.ModuleList(nn.Conv2d(COUNT, _FEATURES, 1) for _ in range(stacks - 1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Fig. 4, right: features and heatmaps of each stack are added to what the next one reads."""
        x = self.stem(image)
        found = []
        for i, (hourglass, to_heatmaps) in enumerate(zip(self.hourglasses, self.heatmaps, strict=True)):
            features = hourglass(x)
            found.append(to_heatmaps(features))
            if i < len(self.features_back):
                x = x + self.features_back[i](features) + self.heatmaps_back[i](found[-1])
        return tuple(found)


def hourglass_2() -> LandmarkMethod:
    """Two stacks."""
    return _stacked(2)


def hourglass_8() -> LandmarkMethod:
    """Eight stacks, the paper's best."""
    return _stacked(8)


def _stacked(stacks: int) -> LandmarkMethod:
    def loss(maps: tuple[Tensor, ...], points: Tensor, height: int, width: int) -> dict[str, Tensor]:
        target = gaussian_heatmaps(points, height, width, STRIDE, SIGMA_CELLS)
        known = present(points, height, width)
        each = [mean_over_present(squared_error(heatmaps, target), known) for heatmaps in maps]
        return {"last": each[-1], "total": sum(each[1:], each[0])}

    def decode(maps: tuple[NDArray[Any], ...]) -> SpineLandmarks:
        return decode_peaks(maps[-1], STRIDE)

    outputs = tuple(f"heatmaps_{i + 1}" for i in range(stacks))
    return LandmarkMethod(f"hourglass-{stacks}", outputs, lambda: StackedHourglass(stacks), loss, decode)
