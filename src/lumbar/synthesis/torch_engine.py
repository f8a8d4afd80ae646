"""The film's arithmetic in torch, on a processor or a graphics card: `simulate_film(seed, i, engine=TorchEngine("cuda"))`.

The only module of the simulator that needs torch (the extra `train`). What is drawn, noise, console and artefacts stay in numpy and OpenCV.

How near it comes to numpy, measured with `device="cpu"` on 300 films, 256 of them 250 or 256 pixels high, 44 of them 1024:

- Corners are the same; so were path lengths, to the last bit, on the 36 films where they were compared.
- The log signal differs by 2.1e-6 at most: exponentials and blurs round differently.
- Pixels in [0, 1] differ by 1e-5 at most on the 143 films that see neither CLAHE nor JPEG.
- JPEG alone (51 films) leaves more than half of them as they were; a value between two grey levels can take its block of 8 x 8 along:
  in a film four pixels in a thousand at most, by up to 0.024.
- CLAHE (73 films) counts in whole steps: up to three quarters of a film's pixels move by more than 2e-5, by 0.0011 on average at most;
  by less than 0.006 on all films but one, where 16 pixels in a thousand moved by 0.02 to 0.05.
- JPEG after CLAHE (33 films): up to 41 pixels in a hundred move, by 0.0031 on average over a film; 10 in a hundred by more than 0.01, 4 in
  a hundred by more than 0.02, single ones by up to 0.16.

On a graphics card (NVIDIA H200) 15 films and the detector's signal were within the tolerances that `tests/test_engines.py` asks of it wherever it runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lumbar.synthesis.engine import in_parts, kernel_size


@dataclass(frozen=True, slots=True)
class TorchEngine:
    """The operations of `Engine` on one device of torch. Arrays are float32; meshes, sums and blurs are worked out in float64."""

    device: str = "cpu"

    @property
    def xp(self) -> Any:
        """The module torch."""
        return torch

    def array(self, values: NDArray[Any]) -> Tensor:
        kind = torch.float32 if values.dtype.kind == "f" else torch.int64
        return torch.tensor(np.ascontiguousarray(values), dtype=kind, device=self.device)

    def exact(self, values: NDArray[Any]) -> Tensor:
        return torch.tensor(np.ascontiguousarray(values), device=self.device)

    def single(self, values: Tensor) -> Tensor:
        return values.float()

    def taken(self, values: Tensor, index: Tensor) -> Tensor:
        return values[:, index]

    def numpy(self, values: Tensor) -> NDArray[Any]:
        return np.asarray(values.cpu().numpy())

    def owners(self, counts: Tensor) -> Tensor:
        return torch.repeat_interleave(counts)

    def counted(self, first: Tensor, counts: Tensor, owners: Tensor) -> Tensor:
        return torch.arange(len(owners), device=self.device) + (first + counts - counts.cumsum(0))[owners]

    def whole(self, values: Tensor) -> Tensor:
        return values.long()

    def parts(self, count: int) -> Iterable[slice]:
        return in_parts(count) if self.device == "cpu" else in_parts(count, max(1, count))

    def nothing(self, size: int) -> Tensor:
        return torch.zeros(size, dtype=torch.float64, device=self.device)

    def add(self, total: Tensor, index: Tensor, values: Tensor) -> None:
        total.index_add_(0, index, values.double())

    def blurred(self, image: Tensor, sigma_px: float) -> Tensor:
        height, width = image.shape
        down, across = (_mirrored_gaussian(size, sigma_px, image.device) for size in (height, width))
        return (down @ image.double() @ across.T).float()

    def resized(self, image: Tensor, height: int, width: int) -> Tensor:
        rows, columns = image.shape
        if height < rows:
            return image.reshape(height, rows // height, width, columns // width).mean(dim=(1, 3))
        return F.interpolate(image[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]


def _mirrored_gaussian(size: int, sigma_px: float, device: torch.device) -> Tensor:
    """(size, size) float64: what each pixel of a blurred row takes from each of the row, mirrored as often as the window asks.

    A product with it outruns a convolution of one channel, and float64 keeps it from TF32's three digits.
    """
    side = kernel_size(sigma_px)[0]
    weights = torch.tensor(cv2.getGaussianKernel(side, sigma_px, cv2.CV_64F)[:, 0], device=device)
    period = max(1, 2 * (size - 1))
    at = torch.arange(-(side // 2), size + side // 2, device=device) % period
    source = torch.minimum(at, period - at).unfold(0, side, 1)
    return torch.zeros(size, size, dtype=torch.float64, device=device).scatter_add_(1, source, weights.expand(size, -1))
