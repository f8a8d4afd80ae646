"""YOLOv8, from published descriptions of it: the first stage of LSLD-Net (II.A), which boxes the lumbosacral area.

A CSP backbone (Wang 2020) of C2f blocks with spatial pyramid pooling (He 2015) in its fast form, a path aggregation neck
(Liu 2018), and a decoupled anchor-free head that predicts each side of the box as a distribution (Li 2020).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES = (8, 16, 32)
BINS = 16
"""A side's distance from the cell's centre, in strides, is the mean of a distribution over 0 .. 15."""


class ConvUnit(nn.Sequential):
    """Convolution, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
            nn.SiLU(),
        )


class Residual(nn.Module):
    """Two 3x3 units, with a shortcut where asked."""

    def __init__(self, width: int, shortcut: bool) -> None:
        super().__init__()
        self.units = nn.Sequential(ConvUnit(width, width, 3), ConvUnit(width, width, 3))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        y: Tensor = self.units(x)
        return x + y if self.shortcut else y


class C2f(nn.Module):
    """Half of the channels goes through a chain of residuals; every link of the chain is kept and fused."""

    def __init__(self, inputs: int, outputs: int, links: int, shortcut: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.split = ConvUnit(inputs, 2 * half)
        self.chain = nn.ModuleList(Residual(half, shortcut) for _ in range(links))
        self.fuse = ConvUnit((2 + links) * half, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        kept = list(self.split(x).chunk(2, dim=1))
        for link in self.chain:
            kept.append(link(kept[-1]))
        out: Tensor = self.fuse(torch.cat(kept, dim=1))
        return out


class SPPF(nn.Module):
    """Spatial pyramid pooling, fast: three 5x5 maximum poolings in a row see as far as 5, 9 and 13 cells."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = ConvUnit(width, width // 2)
        self.fuse = ConvUnit(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        seen = [self.narrow(x)]
        for _ in range(3):
            seen.append(F.max_pool2d(seen[-1], 5, stride=1, padding=2))
        out: Tensor = self.fuse(torch.cat(seen, dim=1))
        return out


class Backbone(nn.Module):
    """An image to feature maps at 1/8, 1/16 and 1/32."""

    def __init__(self, widths: tuple[int, ...], links: tuple[int, ...]) -> None:
        super().__init__()
        w1, w2, w3, w4, w5 = widths
        self.stem = nn.Sequential(ConvUnit(3, w1, 3, 2), ConvUnit(w1, w2, 3, 2), C2f(w2, w2, links[0], shortcut=True))
        self.to_8 = nn.Sequential(ConvUnit(w2, w3, 3, 2), C2f(w3, w3, links[1], shortcut=True))
        self.to_16 = nn.Sequential(ConvUnit(w3, w4, 3, 2), C2f(w4, w4, links[2], shortcut=True))
        self.to_32 = nn.Sequential(ConvUnit(w4, w5, 3, 2), C2f(w5, w5, links[3], shortcut=True), SPPF(w5))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> maps of widths[2:]."""
        at_8 = self.to_8(self.stem(image))
        at_16 = self.to_16(at_8)
        return at_8, at_16, self.to_32(at_16)


class PathAggregation(nn.Module):
    """What is deep comes up to the fine maps, and what is fine goes down again."""

    def __init__(self, widths: tuple[int, int, int], links: int) -> None:
        super().__init__()
        w8, w16, w32 = widths
        self.up_16 = C2f(w32 + w16, w16, links, shortcut=False)
        self.up_8 = C2f(w16 + w8, w8, links, shortcut=False)
        self.shrink_8 = ConvUnit(w8, w8, 3, 2)
        self.down_16 = C2f(w8 + w16, w16, links, shortcut=False)
        self.shrink_16 = ConvUnit(w16, w16, 3, 2)
        self.down_32 = C2f(w16 + w32, w32, links, shortcut=False)

    def forward(self, at_8: Tensor, at_16: Tensor, at_32: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three maps -> three maps of the same shapes."""
        up_16 = self.up_16(torch.cat([F.interpolate(at_32, scale_factor=2.0, mode="nearest"), at_16], dim=1))
        out_8 = self.up_8(torch.cat([F.interpolate(up_16, scale_factor=2.0, mode="nearest"), at_8], dim=1))
        out_16 = self.down_16(torch.cat([self.shrink_8(out_8), up_16], dim=1))
        return out_8, out_16, self.down_32(torch.cat([self.shrink_16(out_16), at_32], dim=1))


class Head(nn.Module):
    """Of one scale: four distributions over `BINS` for the sides, and a logit for each class, each by its own branch."""

    def __init__(self, width: int, box_width: int, class_width: int, classes: int, stride: int) -> None:
        super().__init__()
        self.sides = nn.Sequential(
            ConvUnit(width, box_width, 3), ConvUnit(box_width, box_width, 3), nn.Conv2d(box_width, 4 * BINS, 1)
        )
        self.classes = nn.Sequential(
            ConvUnit(width, class_width, 3), ConvUnit(class_width, class_width, 3), nn.Conv2d(class_width, classes, 1)
        )
        nn.init.constant_(self.sides[-1].bias, 1.0)
        # About five objects in a 640 x 640 image: scores start low, and the loss starts small.
        nn.init.constant_(self.classes[-1].bias, math.log(5 / classes / (640 / stride) ** 2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, 4 * BINS + classes, h, w)."""
        return torch.cat([self.sides(x), self.classes(x)], dim=1)


class YOLOv8(nn.Module):
    """An image (B, 3, H, W), H and W multiples of 32, to boxes.

    Training: three raw maps (B, 64 + classes, h, w) for strides 8, 16, 32, as `detection_loss` takes them.
    Evaluation: (B, 4 + classes, N): x0, y0, x1, y1 in input pixels (centres at integers), then a score for each class.
    """

    def __init__(self, classes: int, widths: tuple[int, ...], links: tuple[int, ...]) -> None:
        super().__init__()
        deep = widths[2:]
        self.backbone = Backbone(widths, links)
        self.neck = PathAggregation((deep[0], deep[1], deep[2]), links[0])
        box_width, class_width = max(16, deep[0] // 4, 4 * BINS), max(deep[0], min(classes, 100))
        self.heads = nn.ModuleList(
            Head(width, box_width, class_width, classes, stride) for width, stride in zip(deep, STRIDES, strict=True)
        )
        self.bins = nn.Conv2d(BINS, 1, 1, bias=False).requires_grad_(False)
        self.bins.weight.data[:] = torch.arange(BINS, dtype=torch.float).view(1, BINS, 1, 1)

    def forward(self, image: Tensor) -> list[Tensor] | Tensor:
        """Raw maps while training, boxes otherwise."""
        maps = [head(x) for head, x in zip(self.heads, self.neck(*self.backbone(image)), strict=True)]
        return maps if self.training else self.boxes(maps)

    def boxes(self, maps: list[Tensor]) -> Tensor:
        """Raw maps -> (B, 4 + classes, N)."""
        flat = torch.cat([m.flatten(2) for m in maps], dim=2)
        points, strides = cell_centres(maps)
        sides = self.bins(flat[:, : 4 * BINS].unflatten(1, (4, BINS)).transpose(1, 2).softmax(dim=1)).squeeze(1)
        edges = torch.cat([points - sides[:, :2] * strides, points + sides[:, 2:] * strides], dim=1)
        return torch.cat([edges, flat[:, 4 * BINS :].sigmoid()], dim=1)


def cell_centres(maps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Centres (2, N) of the cells of all maps in input pixels, x before y, and the stride (N,) of each."""
    centres, strides = [], []
    for m, stride in zip(maps, STRIDES, strict=True):
        h, w = m.shape[2:]
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        # The first cell covers pixels 0 .. stride - 1.
        centres.append(torch.stack([x, y]).flatten(1).float() * stride + (stride - 1) / 2)
        strides.append(torch.full((h * w,), float(stride)))
    return torch.cat(centres, dim=1).to(maps[0].device), torch.cat(strides).to(maps[0].device)


def yolov8n(classes: int = 1) -> YOLOv8:
    """The nano variant: a quarter of the width, a third of the depth; 3,011,043 parameters with one class."""
    return YOLOv8(classes, widths=(16, 32, 64, 128, 256), links=(1, 2, 2, 1))
