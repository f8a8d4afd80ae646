"""Vertebra-Focused Landmark Detection for Scoliosis Assessment (Yi et al., ISBI 2020), with 6 vertebrae for 17.

ResNet-34 and a decoder with skip connections find vertebra centres, and from each centre its four corners. LSLD-Net took its targets
and its three heads from here, so targets, focal loss and reading are LSLD-Net's; encoder, decoder, head width and weights are Yi's.

Left open: S1, whose four corners Yi's vertebrae have and ours does not (as in LSLD-Net: centred on its endplate, lower corners not
learnt). Yi's vertebrae are as many as the strongest 17 centres; here they are the strongest 6, from the top down L1 to S1. Corners
are learnt from the centre, not towards it; biases that a norm would cancel are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lumbar.networks.lsldnet_method import MAPS, decode_by_order, three_maps
from lumbar.networks.lsldnet_targets import lsld_loss, make_targets
from lumbar.networks.method import LandmarkMethod

_HEAD_WIDTH = 256


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut, which a 1x1 convolution widens where the block does (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = (
            None
            if inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H/stride, W/stride)."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(inputs, outputs, stride), *(ResidualBlock(outputs, outputs, 1) for _ in range(blocks - 1))
    )


class ResNet34(nn.Module):
    """He et al. 2016 without the classifier: an image (B, 3, H, W) to maps of 64, 128, 256, 512 channels at 1/4 .. 1/32.

    Tensors are named as torchvision names them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, 3, 1)
        self.layer2 = _stage(64, 128, 4, 2)
        self.layer3 = _stage(128, 256, 6, 2)
        self.layer4 = _stage(256, 512, 3, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> C2..C5."""
        c2 = self.layer1(F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, 2, 1))
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c2, c3, c4, self.layer4(c4)


class Combination(nn.Module):
    """Fig. 2: the deeper map, upsampled and narrowed to the skip's width, is joined to it and mixed by a 1x1 convolution."""

    def __init__(self, deep: int, skip: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(nn.Conv2d(deep, skip, 3, padding=1, bias=False), nn.BatchNorm2d(skip), nn.ReLU())
        self.mix = nn.Sequential(nn.Conv2d(2 * skip, skip, 1, bias=False), nn.BatchNorm2d(skip), nn.ReLU())

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """(B, deep, H, W) and (B, skip, 2H, 2W) -> (B, skip, 2H, 2W)."""
        raised = F.interpolate(deep, scale_factor=2, mode="bilinear", align_corners=False)
        mixed: Tensor = self.mix(torch.cat([skip, self.narrow(raised)], dim=1))
        return mixed


def _head(kernel: int, last_kernel: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(64, _HEAD_WIDTH, kernel, padding=kernel // 2),
        nn.ReLU(),
        nn.Conv2d(_HEAD_WIDTH, channels, last_kernel, padding=last_kernel // 2),
    )


class VertebraFocused(nn.Module):
    """An image (B, 3, H, W), H and W multiples of 32, to heatmap (B, 1, H/4, W/4), centre offset (B, 2, ..), corner offset (B, 8, ..).

    Offsets are in cells of the output grid, x before y, corners in the order of `anatomy.Corner`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ResNet34()
        self.c4 = Combination(512, 256)
        self.c3 = Combination(256, 128)
        self.c2 = Combination(128, 64)
        self.heatmap = _head(3, 1, 1)
        self.centre_offset = _head(3, 1, 2)
        self.corner_offset = _head(7, 7, 8)
        nn.init.constant_(self.heatmap[-1].bias, -2.19)  # a tenth, Yi's prior for a centre

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fig. 2."""
        c2, c3, c4, c5 = self.encoder(image)
        x = self.c2(self.c3(self.c4(c5, c4), c3), c2)
        return torch.sigmoid(self.heatmap(x).float()), self.centre_offset(x), self.corner_offset(x)


def vertebra_focused() -> LandmarkMethod:
    """Heatmap, centre offset and corner offset weigh the same (LSLD-Net has 1, 5, 1)."""

    def loss(maps: tuple[Tensor, ...], points: Tensor, height: int, width: int) -> dict[str, Tensor]:
        targets = make_targets(points, height, width, heatmap_channels=1, reach=0)
        return lsld_loss(three_maps(maps), targets, weights=(1.0, 1.0, 1.0))

    return LandmarkMethod("vertebra-focused", MAPS, VertebraFocused, loss, decode_by_order)
