"""A small residual U-Net for pictures of one body or one corner, whose answer is a map for each place that is sought."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lumbar.landmarks.close_up import STRIDE, TARGET_SD


class Block(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut (He 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if inputs == outputs and stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(y)) + self.shortcut(x))


class SmallUNet(nn.Module):
    """From pictures (B, inputs, S, S) to a map for each of `places`; its heirs' `forward` says what happens between the two halves.

    widths: channels at S/2, S/4, S/8 and S/16, two blocks at each.
    """

    def __init__(self, inputs: int, widths: Sequence[int], places: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, widths[0], 5, STRIDE, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        self.down = nn.ModuleList(
            nn.Sequential(Block(above, below, stride), Block(below, below))
            for above, below, stride in zip((widths[0], *widths[:-1]), widths, (1, 2, 2, 2), strict=True)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(deep, skip, 1) for deep, skip in zip(widths[1:], widths[:-1], strict=True)
        )
        self.up = nn.ModuleList(Block(2 * width, width) for width in widths[:-1])
        self.maps = nn.Conv2d(widths[0], places, 1)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """(B, widths[k], S / 2^(k+1), S / 2^(k+1)), from the shallowest to the deepest."""
        found = [self.stem(pictures)]
        for stage in self.down:
            found.append(stage(found[-1]))
        return found[1:]

    def maps_of(self, features: Sequence[Tensor]) -> Tensor:
        """Maps (B, places, S/2, S/2) before the softmax."""
        x = features[-1]
        for i in (2, 1, 0):
            deep = F.interpolate(self.narrow[i](x), scale_factor=2, mode="bilinear", align_corners=False)
            x = self.up[i](torch.cat([features[i], deep], dim=1))
        return torch.as_tensor(self.maps(x))


def place_loss(maps: Tensor, places: Tensor) -> Tensor:
    """Cross-entropy of each map (B, K, h, w) against a Gaussian about the truth.

    places (B, K, 2): in pixels of the picture, NaN where there is nothing to learn.
    """
    size = maps.shape[-1]
    centre = (places + 0.5) / STRIDE - 0.5
    cells = torch.arange(size, device=maps.device, dtype=torch.float32)
    known = ((centre >= -0.5) & (centre <= size - 0.5)).all(dim=-1)  # false for NaN
    apart = (cells - torch.where(known[..., None], centre, 0.0)[..., None]) ** 2  # (B, K, 2, size)
    across, down = (torch.exp(-apart[:, :, axis] / (2 * TARGET_SD**2)) for axis in (0, 1))
    across, down = across / across.sum(-1, keepdim=True), down / down.sum(-1, keepdim=True)
    log_share = maps.float().flatten(2).log_softmax(dim=-1).reshape(maps.shape)
    missed = -torch.einsum("bky,bkyx,bkx->bk", down, log_share, across)
    return (missed * known).sum() / known.sum().clamp(min=1)
