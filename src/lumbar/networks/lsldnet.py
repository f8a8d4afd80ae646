"""LSLD-Net (Hu et al., A Deep-Learning-Based Lumbosacral Localization and Landmark Detection Network), second stage.

HRNet-18 encodes, a U-Net decoder with multi-scale attention fuses, three heads map: where vertebrae are centred, by how much
the centre leaves its cell, and where the four corners lie from the centre. Figure and equation numbers are the paper's.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lumbar.networks.hrnet import WIDTHS, HRNet18

STRIDE = 4
HEAD_WIDTH = 64

Attention = Literal["none", "channel", "channel+spatial"]
"""What the decoder fuses with, as in Table III: plain concatenation (Base), MSAM without SAE, MSAM."""


class SpatialAttentionEnhancement(nn.Module):
    """SAE, eq. 4: each pixel weighted by what the mean and the maximum over its channels say."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return torch.sigmoid(self.conv(pooled)) * x


class MultiScaleAttention(nn.Module):
    """MSAM, eqs 2 and 3 and Fig. 4: one channel weight from both inputs for both inputs, then spatial attention on each."""

    def __init__(self, width: int, spatial: type[nn.Module] = SpatialAttentionEnhancement) -> None:
        super().__init__()
        self.fc = nn.Linear(2 * width, width)
        self.low, self.high = spatial(), spatial()

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """F_L and F_H, each (B, C, H, W) -> S (B, 2C, H, W)."""
        both = torch.cat([high, low], dim=1)
        weight = torch.sigmoid(self.fc(both.mean(dim=(2, 3))) + self.fc(both.amax(dim=(2, 3))))[..., None, None]
        return torch.cat([self.low(weight * low), self.high(weight * high)], dim=1)


class Concatenation(nn.Module):
    """U-Net's: both inputs side by side, unweighted."""

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """F_L and F_H, each (B, C, H, W) -> (B, 2C, H, W)."""
        return torch.cat([low, high], dim=1)


def _fusion(width: int, attention: Attention) -> nn.Module:
    if attention == "none":
        return Concatenation()
    return MultiScaleAttention(width, nn.Identity if attention == "channel" else SpatialAttentionEnhancement)


class DecoderStep(nn.Module):
    """Fig. 3: the deeper map is upsampled to the width of the skip, meets it in an MSAM, and conv + ReLU give P."""

    def __init__(self, skip_width: int, deep_width: int, attention: Attention = "channel+spatial") -> None:
        super().__init__()
        self.narrow = nn.Conv2d(deep_width, skip_width, 1)
        self.attention = _fusion(skip_width, attention)
        self.conv = nn.Conv2d(2 * skip_width, skip_width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(skip_width)

    def forward(self, skip: Tensor, deep: Tensor) -> Tensor:
        """(B, skip, 2H, 2W) and (B, deep, H, W) -> (B, skip, 2H, 2W)."""
        high = F.interpolate(self.narrow(deep), scale_factor=2, mode="bilinear", align_corners=False)
        return F.relu(self.norm(self.conv(self.attention(skip, high))))


class LSLDNet(nn.Module):
    """An image (B, 3, H, W), H and W multiples of 32, to heatmap (B, K, H/4, W/4), centre offset (B, 2, ..), corner offset (B, 8, ..).

    heatmap_channels: 1 is the paper's (a vertebra is known by its place in the row); 6 gives each of L1..S1 its own.
    attention: the whole MSAM, or less of it for the ablation.
    Offsets are in cells of the output grid, x before y, corners in the order of `anatomy.Corner`.
    """

    def __init__(self, heatmap_channels: int = 1, attention: Attention = "channel+spatial") -> None:
        super().__init__()
        self.encoder = HRNet18()
        self.p3 = DecoderStep(WIDTHS[2], WIDTHS[3], attention)
        self.p2 = DecoderStep(WIDTHS[1], WIDTHS[2], attention)
        self.p1 = DecoderStep(WIDTHS[0], WIDTHS[1], attention)
        width = WIDTHS[0]
        self.heatmap = nn.Sequential(
            nn.Conv2d(width, HEAD_WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(HEAD_WIDTH, heatmap_channels, 1)
        )
        self.centre_offset = nn.Sequential(
            nn.Conv2d(width, HEAD_WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(HEAD_WIDTH, 2, 1)
        )
        self.corner_offset = nn.Sequential(
            nn.Conv2d(width, HEAD_WIDTH, 7, padding=3), nn.ReLU(), nn.Conv2d(HEAD_WIDTH, 8, 7, padding=3)
        )
        # A cell is a centre once in a hundred: starting there keeps the focal loss from drowning the first steps.
        nn.init.constant_(self.heatmap[-1].bias, -4.6)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Eqs 1 and 5 to 7."""
        c1, c2, c3, c4 = self.encoder(image)
        p1 = self.p1(c1, self.p2(c2, self.p3(c3, c4)))
        return torch.sigmoid(self.heatmap(p1).float()), self.centre_offset(p1), self.corner_offset(p1)
