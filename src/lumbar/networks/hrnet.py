"""HRNet-18 (Sun et al., Deep High-Resolution Representation Learning, CVPR 2019): four resolutions kept side by side.

Module names are those of timm's `hrnet_w18`, so that its ImageNet weights load from a local file.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (18, 36, 72, 144)


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3x3(width, width), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv3x3(width, width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions with a shortcut (He 2016), four times as wide outside as inside."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv3x3(width, width), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = (
            None
            if inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, 4 width, H, W)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ExchangeModule(nn.Module):
    """Four basic blocks on each branch, then every branch receives the sum of all, brought to its resolution."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(BasicBlock(w) for _ in range(4))) for w in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse(widths, into, source) for source in range(len(widths))) for into in range(len(widths))
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Branch i is (B, widths[i], H / 2**i, W / 2**i), before and after."""
        own = [block(x) for block, x in zip(self.branches, branches, strict=True)]
        out = []
        for layers in self.fuse_layers:
            total = layers[0](own[0])
            for layer, x in zip(list(layers)[1:], own[1:], strict=True):
                total = total + layer(x)
            out.append(F.relu(total))
        return out


def _fuse(widths: tuple[int, ...], into: int, source: int) -> nn.Module:
    if source == into:
        return nn.Identity()
    if source > into:
        return nn.Sequential(
            nn.Conv2d(widths[source], widths[into], 1, bias=False),
            nn.BatchNorm2d(widths[into]),
            nn.Upsample(scale_factor=2 ** (source - into), mode="nearest"),
        )
    steps: list[nn.Module] = []
    for step in range(into - source):
        last = step == into - source - 1
        outputs = widths[into] if last else widths[source]
        layers: list[nn.Module] = [_conv3x3(widths[source], outputs, 2), nn.BatchNorm2d(outputs)]
        steps.append(nn.Sequential(*layers, *([] if last else [nn.ReLU()])))
    return nn.Sequential(*steps)


def _step(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs), nn.ReLU())


class HRNet18(nn.Module):
    """LSLD-Net eq. 1: an image (B, 3, H, W), H and W multiples of 32, to C1..C4 of widths 18, 36, 72, 144 at 1/4 .. 1/32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3x3(3, 64, 2), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = _conv3x3(64, 64, 2), nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(3)))
        self.transition1 = nn.ModuleList([_step(256, 18, 1), nn.Sequential(_step(256, 36, 2))])
        self.stage2 = nn.ModuleList(ExchangeModule(WIDTHS[:2]) for _ in range(1))
        self.transition2 = nn.ModuleList([nn.Identity(), nn.Identity(), nn.Sequential(_step(36, 72, 2))])
        self.stage3 = nn.ModuleList(ExchangeModule(WIDTHS[:3]) for _ in range(4))
        self.transition3 = nn.ModuleList([nn.Identity()] * 3 + [nn.Sequential(_step(72, 144, 2))])
        self.stage4 = nn.ModuleList(ExchangeModule(WIDTHS) for _ in range(3))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> [C1, C2, C3, C4]."""
        x = F.relu(self.bn1(self.conv1(image)))
        x = self.layer1(F.relu(self.bn2(self.conv2(x))))
        branches = [step(x) for step in self.transition1]
        for module in self.stage2:
            branches = module(branches)
        branches = [*branches, self.transition2[2](branches[-1])]
        for module in self.stage3:
            branches = module(branches)
        branches = [*branches, self.transition3[3](branches[-1])]
        for module in self.stage4:
            branches = module(branches)
        return branches
