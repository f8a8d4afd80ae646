"""FARNet (Ao & Wu, Feature Aggregation and Refinement Network for 2D Anatomical Landmark Detection, J Digit Imaging 2023).

DenseNet-121 encodes; the multi-scale feature aggregation module goes up, down and up again through the scales; the feature refinement
module answers with heatmaps at half and then at the full resolution. Widths are those of the authors' release.

Left open: how wide a Gaussian is on a film of another size. The release takes 10 pixels on inputs of 800 x 640, at half and at full
resolution alike; ours is the same share of the height, an eightieth. A layer that the release makes and never runs (a second 3x3
convolution in each refinement, the unused one of 1x1 and 3x3 in each fusion) is left out, as are biases that a norm would cancel.
Absent landmarks, which the release does not know, ask nothing.
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

_HEIGHT_PER_SIGMA = 80
_EWC_BASE = 40.0
_GROWTH = 32


class DenseLayer(nn.Module):
    """Huang et al. 2017: norm, ReLU, 1x1 to four growths, norm, ReLU, 3x3 to one growth, which is appended to the input."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 4 * _GROWTH, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * _GROWTH), nn.Conv2d(4 * _GROWTH, _GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C + 32, H, W)."""
        new = self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))
        return torch.cat([x, new], dim=1)


def _dense_block(inputs: int, layers: int) -> nn.Sequential:
    block = nn.Sequential()
    for i in range(layers):
        block.add_module(f"denselayer{i + 1}", DenseLayer(inputs + i * _GROWTH))
    return block


def _transition(inputs: int) -> nn.Sequential:
    halved = nn.Sequential()
    halved.add_module("norm", nn.BatchNorm2d(inputs))
    halved.add_module("relu", nn.ReLU())
    halved.add_module("conv", nn.Conv2d(inputs, inputs // 2, 1, bias=False))
    halved.add_module("pool", nn.AvgPool2d(2))
    return halved


class DenseNet121(nn.Module):
    """Huang et al. 2017 without the classifier: an image (B, 3, H, W) to 64, 256, 512, 1024, 1024 channels at 1/2 .. 1/32.

    The first map is the bare convolution's, the last is normed. Tensors are named as in torchvision's `features`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv0, self.norm0 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.denseblock1, self.transition1 = _dense_block(64, 6), _transition(256)
        self.denseblock2, self.transition2 = _dense_block(128, 12), _transition(512)
        self.denseblock3, self.transition3 = _dense_block(256, 24), _transition(1024)
        self.denseblock4, self.norm5 = _dense_block(512, 16), nn.BatchNorm2d(1024)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> L1..L5."""
        l1 = self.conv0(image)
        l2 = self.denseblock1(F.max_pool2d(F.relu(self.norm0(l1)), 3, 2, 1))
        l3 = self.denseblock2(self.transition1(l2))
        l4 = self.denseblock3(self.transition2(l3))
        return l1, l2, l3, l4, self.norm5(self.denseblock4(self.transition3(l4)))


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _join(x: Tensor, y: Tensor) -> Tensor:
    return torch.cat([x, y], dim=1)


class FeatureAggregation(nn.Module):
    """MSFA: L1..L5 of the encoder to one map (B, 64, H/2, W/2), by an upward, a downward and another upward path."""

    def __init__(self) -> None:
        super().__init__()
        self.up5 = nn.Sequential(_conv(1024, 512, 3), _conv(512, 256))
        self.up4, self.up3, self.up2 = _conv(256 + 1024, 256), _conv(256 + 512, 256), _conv(256 + 256, 256)
        self.down3, self.fuse3 = _conv(256, 512, 3, 2), _conv(512 + 256, 512)
        self.down4, self.fuse4 = _conv(512, 1024, 3, 2), _conv(1024 + 256, 1024)
        self.down5, self.fuse5 = _conv(1024, 2048, 3, 2), nn.Sequential(_conv(2048 + 256, 1024, 3), _conv(1024, 256))
        self.again4, self.again3, self.again2 = _conv(256 + 1024, 256), _conv(256 + 512, 256), _conv(256 + 256, 128)
        self.again1 = _conv(128 + 64, 64)

    def forward(self, l1: Tensor, l2: Tensor, l3: Tensor, l4: Tensor, l5: Tensor) -> Tensor:
        """Li is (B, 64 | 256 | 512 | 1024 | 1024, H / 2**i, W / 2**i)."""
        u5 = self.up5(l5)
        u4 = self.up4(_join(_twice(u5), l4))
        u3 = self.up3(_join(_twice(u4), l3))
        d2 = self.up2(_join(_twice(u3), l2))
        d3 = self.fuse3(_join(self.down3(d2), u3))
        d4 = self.fuse4(_join(self.down4(d3), u4))
        x = self.fuse5(_join(self.down5(d4), u5))
        x = self.again4(_join(_twice(x), d4))
        x = self.again3(_join(_twice(x), d3))
        x = self.again2(_join(_twice(x), d2))
        aggregated: Tensor = self.again1(_join(_twice(x), l1))
        return aggregated


def _refine(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, COUNT, 1))


class FARNet(nn.Module):
    """An image (B, 3, H, W), H and W multiples of 32, to heatmaps (B, 22, H, W) and coarse heatmaps (B, 22, H/2, W/2)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = DenseNet121()
        self.aggregation = FeatureAggregation()
        self.image_features = _conv(3, 32)
        self.coarse = _refine(64)
        self.fine = _refine(64 + 32 + COUNT)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The refinement module sees the aggregated features, the image and the coarse answer."""
        x = self.aggregation(*self.encoder(image))
        coarse = self.coarse(x)
        return self.fine(torch.cat([_twice(x), self.image_features(image), _twice(coarse)], dim=1)), coarse


def ewc_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Exponential weighted centre loss of each cell: the squared error, 40 times as dear at a landmark as far from all.

    >>> error = ewc_error(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]))  # 40 * 0.25 and 1 * 0.25
    >>> [round(float(e), 4) for e in error]
    [10.0, 0.25]
    """
    return _EWC_BASE**target * squared_error(predicted, target)


def farnet() -> LandmarkMethod:
    """The exponential weighted centre loss on both resolutions, weighing the same; the highest pixel of the fine one is the answer."""

    def loss(maps: tuple[Tensor, ...], points: Tensor, height: int, width: int) -> dict[str, Tensor]:
        known = present(points, height, width)

        def miss(heatmaps: Tensor, stride: int) -> Tensor:
            target = gaussian_heatmaps(points, height, width, stride, height / _HEIGHT_PER_SIGMA)
            return mean_over_present(ewc_error(heatmaps, target), known)

        fine, coarse = miss(maps[0], 1), miss(maps[1], 2)
        return {"fine": fine, "coarse": coarse, "total": fine + coarse}

    def decode(maps: tuple[NDArray[Any], ...]) -> SpineLandmarks:
        return decode_peaks(maps[0], stride=1, shift_cells=0.0)

    return LandmarkMethod("farnet", ("heatmaps", "coarse_heatmaps"), FARNet, loss, decode)
