"""A small U-Net that looks at one vertebral body again: ours, beyond the paper.

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

from lumbar.landmarks.close_up import KINDS
from lumbar.networks.small_unet import SmallUNet, place_loss

WIDTHS = (32, 64, 96, 128)
CORNERS = 4


class CloseUpNet(SmallUNet):
    """Close-ups (B, 2, S, S) -> corner maps (B, 4, S/2, S/2) and kinds (B, 8), both before the softmax."""

    def __init__(self) -> None:
        super().__init__(2, WIDTHS, CORNERS)
        self.kinds = nn.Linear(WIDTHS[-1], len(KINDS))

    def forward(self, close_ups: Tensor) -> tuple[Tensor, Tensor]:
        """The maps and the kinds."""
        features = self.features(close_ups)
        return self.maps_of(features), self.kinds(features[-1].amax(dim=(2, 3)).float())


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
    """`place_loss` of the corners, cross-entropy of the kinds, and their sum `total`.

    corners (B, 4, 2): in pixels of the close-up, NaN where there is nothing to learn; kinds (B,): indices into `KINDS`.
    """
    maps, logits = output
    place, kind = place_loss(maps, corners), F.cross_entropy(logits.float(), kinds)
    return {"place": place, "kind": kind, "total": place + kind}
