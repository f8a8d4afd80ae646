"""A small U-Net that looks at one vertebral body at film resolution: ours, beyond the paper.

LSLD-Net sees the whole spine and knows which body is which; a corner is a fraction of one of its pixels. Here every body is
seen at the same size and the right way up, so that L1 learns from L5, and a corner is answered by a map whose width says how sure
the network is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lumbar.landmarks.close_up import KINDS, STRIDE, TARGET_SD

WIDTHS = (32, 64, 96, 128)
CORNERS = 4


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


class CloseUpNet(nn.Module):
    """Close-ups (B, 2, S, S) -> corner maps (B, 4, S/2, S/2) and kinds (B, 8), both before the softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(2, WIDTHS[0], 5, STRIDE, 2, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU()
        )
        self.down = nn.ModuleList(
            nn.Sequential(Block(above, below, stride), Block(below, below))
            for above, below, stride in zip((WIDTHS[0], *WIDTHS[:-1]), WIDTHS, (1, 2, 2, 2), strict=True)
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(deep, skip, 1) for deep, skip in zip(WIDTHS[1:], WIDTHS[:-1], strict=True)
        )
        self.up = nn.ModuleList(Block(2 * width, width) for width in WIDTHS[:-1])
        self.maps = nn.Conv2d(WIDTHS[0], CORNERS, 1)
        self.kinds = nn.Linear(WIDTHS[-1], len(KINDS))

    def forward(self, close_ups: Tensor) -> tuple[Tensor, Tensor]:
        """The maps and the kinds."""
        skips = []
        x = self.stem(close_ups)
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        kinds = self.kinds(x.amax(dim=(2, 3)).float())
        for i in (2, 1, 0):
            deep = F.interpolate(self.narrow[i](x), scale_factor=2, mode="bilinear", align_corners=False)
            x = self.up[i](torch.cat([skips[i], deep], dim=1))
        return self.maps(x), kinds


class CloseUpNets(nn.Module):
    """Several networks that look at the same close-ups and answer together (Lakshminarayanan 2017): the mean of their probabilities.

    Where they disagree, a corner's map is as wide as they are apart, and its error bar with it.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, close_ups: Tensor) -> tuple[Tensor, Tensor]:
        """As `CloseUpNet`: maps and kinds, here logarithms of probabilities."""
        answers = [network(close_ups) for network in self.networks]
        maps = torch.stack([maps.flatten(2).log_softmax(dim=-1).view_as(maps) for maps, _ in answers])
        kinds = torch.stack([kinds.log_softmax(dim=-1) for _, kinds in answers])
        one = math.log(len(answers))
        return maps.logsumexp(dim=0) - one, kinds.logsumexp(dim=0) - one


def close_up_loss(output: tuple[Tensor, Tensor], corners: Tensor, kinds: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of each corner's map against a Gaussian about the truth, and of the kinds, and their sum `total`.

    corners (B, 4, 2): in pixels of the close-up, NaN where there is nothing to learn; kinds (B,): indices into `KINDS`.
    """
    maps, logits = output
    size = maps.shape[-1]
    centre = (corners + 0.5) / STRIDE - 0.5
    cells = torch.arange(size, device=maps.device, dtype=torch.float32)
    known = ((centre >= -0.5) & (centre <= size - 0.5)).all(dim=-1)  # false for NaN
    apart = (cells - torch.where(known[..., None], centre, 0.0)[..., None]) ** 2  # (B, 4, 2, size)
    across, down = (torch.exp(-apart[:, :, axis] / (2 * TARGET_SD**2)) for axis in (0, 1))
    across, down = across / across.sum(-1, keepdim=True), down / down.sum(-1, keepdim=True)
    log_share = maps.float().flatten(2).log_softmax(dim=-1).reshape(maps.shape)
    missed = -torch.einsum("bcy,bcyx,bcx->bc", down, log_share, across)
    place = (missed * known).sum() / known.sum().clamp(min=1)
    kind = F.cross_entropy(logits.float(), kinds)
    return {"place": place, "kind": kind, "total": place + kind}
