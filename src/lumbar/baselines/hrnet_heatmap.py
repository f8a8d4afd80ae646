"""Deep High-Resolution Representation Learning for Human Pose Estimation (Sun et al., CVPR 2019), with 22 landmarks for joints.

The branch that never left 1/4 of the input holds everything: one 1x1 convolution turns it into heatmaps.

Left open: the LSLD-Net paper compares with "HRNet" and does not say how wide; here it is the width 18 of LSLD-Net's own encoder, so
that the two differ in what follows it (Sun et al. train 32 and 48). The Gaussian is 2 cells wide, as in the authors' release for
256 x 192, where it grows to 3 cells for 384 x 288; ours stays. There it is centred on a cell, here on the landmark.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn

from lumbar.baselines.heatmaps import gaussian_heatmaps, mean_over_present, present, squared_error
from lumbar.landmarks.heatmap_decoding import decode_peaks
from lumbar.landmarks.spine import COUNT, SpineLandmarks
from lumbar.networks.hrnet import WIDTHS, HRNet18
from lumbar.networks.method import LandmarkMethod

STRIDE = 4
SIGMA_CELLS = 2.0


class HRNetHeatmap(nn.Module):
    """An image (B, 3, H, W), H and W multiples of 32, to heatmaps (B, 22, H/4, W/4)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = HRNet18()
        self.heatmaps = nn.Conv2d(WIDTHS[0], COUNT, 1)
        nn.init.normal_(self.heatmaps.weight, std=0.001)
        nn.init.zeros_(self.heatmaps.bias)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """Section 3, "Heatmap estimation": the last high-resolution map alone."""
        return (self.heatmaps(self.encoder(image)[0]),)


def hrnet() -> LandmarkMethod:
    """Mean squared error on the heatmaps, halved as in the release; read with the quarter-cell shift."""

    def loss(maps: tuple[Tensor, ...], points: Tensor, height: int, width: int) -> dict[str, Tensor]:
        target = gaussian_heatmaps(points, height, width, STRIDE, SIGMA_CELLS)
        return {"total": 0.5 * mean_over_present(squared_error(maps[0], target), present(points, height, width))}

    def decode(maps: tuple[NDArray[Any], ...]) -> SpineLandmarks:
        return decode_peaks(maps[0], STRIDE)

    return LandmarkMethod("hrnet", ("heatmaps",), HRNetHeatmap, loss, decode)
