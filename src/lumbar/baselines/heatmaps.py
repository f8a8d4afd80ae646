"""A Gaussian heatmap for each landmark: what the pose estimators' networks are trained towards, and by how much they miss."""

from __future__ import annotations

import torch
from torch import Tensor


def present(points: Tensor, height: int, width: int) -> Tensor:
    """(B, 22) bool: which of the landmarks `points` (B, 22, 2) are known and inside an input of height x width pixels."""
    x, y = points.unbind(dim=-1)
    return (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)  # false for NaN


def gaussian_heatmaps(points: Tensor, height: int, width: int, stride: int, sigma_cells: float) -> Tensor:
    """(B, 22, height/stride, width/stride) of landmarks `points` (B, 22, 2) in pixels; zero where one is absent.

    Each Gaussian is centred on the landmark itself, not on its cell's middle, so that the higher of a peak's neighbours says
    on which side the landmark lies.
    """
    h, w = height // stride, width // stride
    known = present(points, height, width)
    at = ((points + 0.5) / stride - 0.5).nan_to_num()  # in cells, whose middles are at integers
    x = torch.arange(w, device=points.device) - at[..., :1]
    y = torch.arange(h, device=points.device) - at[..., 1:]
    along_x, along_y = torch.exp(-(x**2) / (2 * sigma_cells**2)), torch.exp(-(y**2) / (2 * sigma_cells**2))
    return along_y[..., :, None] * along_x[..., None, :] * known[..., None, None]


def mean_over_present(error: Tensor, known: Tensor) -> Tensor:
    """Mean of `error` (B, 22, h, w) over the cells of the landmarks that are `known` (B, 22); zero where none is.

    >>> error = torch.tensor([3.0, 5.0] + [9.0] * 20).reshape(1, 22, 1, 1).expand(1, 22, 2, 2)
    >>> float(mean_over_present(error, torch.arange(22)[None] < 2))
    4.0
    """
    each = error.float().mean(dim=(2, 3))
    return torch.where(known, each, 0.0).sum() / known.sum().clamp(min=1)


def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Of each cell, in float32 whatever precision the network ran in: small differences vanish in bfloat16."""
    return (predicted.float() - target) ** 2
