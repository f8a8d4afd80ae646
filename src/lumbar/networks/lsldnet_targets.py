"""What LSLD-Net is trained towards (Fig. 5) and by how much it misses (eq. 8)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lumbar.anatomy import Vertebra
from lumbar.networks.lsldnet import STRIDE

VERTEBRAE = len(Vertebra)
_S1_HEIGHT = 0.7  # S1 has no lower endplate: its size for the Gaussian is its depth by 0.7 of it, like a lumbar body's.


@dataclass(frozen=True, slots=True)
class Targets:
    """Of a batch, in cells of the output grid of h x w.

    heatmap (B, K, h, w); cells (B, 6, N) flat indices of the supervised cells of each vertebra and weight (B, 6, N), zero where
    there is nothing to learn; centre_offset (B, 6, N, 2); corner_offset (B, 6, 8) and corner_known (B, 6, 8).
    """

    heatmap: Tensor
    cells: Tensor
    weight: Tensor
    centre_offset: Tensor
    corner_offset: Tensor
    corner_known: Tensor


def vertebra_corners(points: Tensor) -> Tensor:
    """(B, 22, 2) -> (B, 6, 4, 2), NaN for the two lower corners that S1 does not have."""
    missing = torch.full_like(points[:, :2], torch.nan)
    return torch.cat([points, missing], dim=1).reshape(-1, VERTEBRAE, 4, 2)


def gaussian_radius(height: Tensor, width: Tensor, overlap: float = 0.7) -> Tensor:
    """How far a centre may be off before the box of that size overlaps its truth by less than `overlap` (Law & Deng 2018).

    >>> round(float(gaussian_radius(torch.tensor(10.0), torch.tensor(10.0))), 2)  # (10 - 2 * 0.82)^2 = 0.7 * 10^2
    0.82
    """
    total, area = height + width, height * width
    shrink = (1 - overlap) / (1 + overlap)
    one_in = (total - torch.sqrt(total**2 - 4 * area * shrink)) / 2
    both_in = (2 * total - torch.sqrt(4 * total**2 - 16 * area * (1 - overlap))) / 8
    both_out = (-2 * overlap * total + torch.sqrt(4 * overlap**2 * total**2 + 16 * overlap * area * (1 - overlap))) / (
        8 * overlap
    )
    return torch.minimum(torch.minimum(one_in, both_in), both_out)


def make_targets(points: Tensor, height: int, width: int, heatmap_channels: int, reach: int) -> Targets:
    """Targets for landmarks `points` (B, 22, 2) in pixels of a height x width input; NaN or centres outside it are left out.

    reach: offsets are learnt in the cells up to `reach` away from the centre's, where no other vertebra's centre is as near;
    the paper's 0 is the centre's cell alone.
    """
    h, w = height // STRIDE, width // STRIDE
    corners = vertebra_corners((points + 0.5) / STRIDE)  # cell (0, 0) spans 0..1
    centre = torch.where(
        torch.isnan(corners).any(dim=2), corners[:, :, :2].mean(dim=2), corners.mean(dim=2)
    )  # S1: the middle of its endplate
    size = torch.tensor([w, h], device=points.device)
    known = ((centre >= 0) & (centre < size)).all(dim=-1)  # false for NaN
    centre = torch.where(known[..., None], centre, torch.zeros_like(centre))
    cell = centre.floor()
    heat = _gaussians(cell, known, corners, h, w)
    if heatmap_channels == 1:
        heat = heat.amax(dim=1, keepdim=True)

    steps = torch.arange(-reach, reach + 1, device=points.device)
    around = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).reshape(-1, 2)
    near = cell[:, :, None] + around  # (B, 6, N, 2)
    inside = ((near >= 0) & (near < size)).all(dim=-1)
    # A cell that lies as near to another vertebra's centre cannot answer for both.
    apart = (near[:, :, :, None] - cell[:, None, None]).norm(dim=-1)  # (B, 6, N, 6)
    apart = torch.where(known[:, None, None], apart, torch.inf)
    own = torch.diagonal(apart, dim1=1, dim2=3).permute(0, 2, 1)  # (B, 6, N)
    others = torch.where(torch.eye(VERTEBRAE, dtype=torch.bool, device=points.device)[:, None], torch.inf, apart)
    inside &= (own < others.amin(dim=-1)) | (own == 0)
    near = near.clamp(torch.zeros_like(size), size - 1)
    corner_offset = corners - centre[:, :, None]
    corner_known = ~torch.isnan(corner_offset)
    return Targets(
        heatmap=heat,
        cells=(near[..., 1] * w + near[..., 0]).long(),
        weight=(inside & known[..., None]).float(),
        centre_offset=centre[:, :, None] - near,
        corner_offset=corner_offset.nan_to_num().flatten(2),
        corner_known=corner_known.flatten(2),
    )


def _gaussians(cell: Tensor, known: Tensor, corners: Tensor, h: int, w: int) -> Tensor:
    """(B, 6, h, w): one in the centre's cell, falling off by vertebra size; zero for absent vertebrae."""
    depth = (corners[:, :, 0] - corners[:, :, 1]).norm(dim=-1)
    tall = (corners[:, :, :2].mean(dim=2) - corners[:, :, 2:].mean(dim=2)).norm(dim=-1)
    tall = torch.where(torch.isnan(tall), depth * _S1_HEIGHT, tall)
    radius = gaussian_radius(tall, depth).nan_to_num(1.0).clamp(min=1.0)
    sigma = ((2 * radius + 1) / 6)[..., None, None]
    x = torch.arange(w, device=cell.device)[None, None, None] - cell[..., 0, None, None]
    y = torch.arange(h, device=cell.device)[None, None, :, None] - cell[..., 1, None, None]
    return torch.exp(-(x**2 + y**2) / (2 * sigma**2)) * known[..., None, None]


def focal_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Penalty-reduced focal loss (Lin 2017, as in Law & Deng 2018: alpha 2, beta 4), a mean over the centres.

    >>> half = torch.tensor([[[[0.5]]]])
    >>> round(float(focal_loss(half, torch.ones(1, 1, 1, 1))), 4)  # (1 - 0.5)^2 * ln 2
    0.1733
    """
    p = predicted.float().clamp(1e-4, 1 - 1e-4)
    positive = target > 0.999
    gain = torch.where(positive, (1 - p) ** 2 * p.log(), (1 - target) ** 4 * p**2 * (1 - p).log())
    return -gain.sum() / positive.sum().clamp(min=1)


def lsld_loss(
    outputs: tuple[Tensor, Tensor, Tensor], targets: Targets, weights: tuple[float, float, float] = (1.0, 5.0, 1.0)
) -> dict[str, Tensor]:
    """Eq. 8: heatmap, centre offset, corner offset and their weighted sum `total`; the offsets by L1 at the supervised cells."""
    heatmap, centre_offset, corner_offset = outputs
    batch = heatmap.shape[0]
    flat = targets.cells.flatten(1)

    def at_cells(maps: Tensor) -> Tensor:
        channels = maps.shape[1]
        index = flat[:, None].expand(-1, channels, -1)
        picked = maps.float().flatten(2).gather(2, index)
        return picked.reshape(batch, channels, VERTEBRAE, -1).permute(0, 2, 3, 1)

    weight = targets.weight[..., None]
    centre_error = (at_cells(centre_offset) - targets.centre_offset).abs() * weight
    corner_weight = weight * targets.corner_known[:, :, None]
    corner_error = (at_cells(corner_offset) - targets.corner_offset[:, :, None]).abs() * corner_weight
    parts = {
        "heatmap": focal_loss(heatmap, targets.heatmap),
        "centre": centre_error.sum() / (2 * weight.sum()).clamp(min=1),
        "corner": corner_error.sum() / corner_weight.sum().clamp(min=1),
    }
    total = sum((w_ * part for w_, part in zip(weights, parts.values(), strict=True)), torch.zeros(()))
    return {**parts, "total": total}


def naming_loss(heatmap: Tensor, target: Tensor) -> Tensor:
    """Where, of all places on the film, is L3? Cross-entropy of each level's heatmap as a distribution over space.

    heatmap (B, 6, h, w) in (0, 1), target the Gaussians of `make_targets`; levels that are absent ask nothing. Ours: it makes
    the places compete for a name, which the cell-by-cell focal loss does not.
    """
    log_share = torch.logit(heatmap.float(), eps=1e-6).flatten(2).log_softmax(dim=-1)
    wanted = target.flatten(2)
    total = wanted.sum(dim=-1)
    entropy = -(wanted * log_share).sum(dim=-1) / total.clamp(min=1e-6)
    present = (total > 0).float()
    return (entropy * present).sum() / present.sum().clamp(min=1)
