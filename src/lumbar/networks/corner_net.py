"""A small U-Net that looks at one corner at the film's resolution: ours, beyond the paper."""

from __future__ import annotations

from torch import Tensor

from lumbar.networks.small_unet import SmallUNet

WIDTHS = (24, 40, 64, 96)
INPUTS = 4


class CornerNet(SmallUNet):
    """Corners (B, 4, S, S), as `landmarks.corner_view` cuts them -> maps (B, 1, S/2, S/2) before the softmax."""

    def __init__(self) -> None:
        super().__init__(INPUTS, WIDTHS, 1)

    def forward(self, corners: Tensor) -> Tensor:
        """The maps."""
        return self.maps_and_features(corners)[0]
