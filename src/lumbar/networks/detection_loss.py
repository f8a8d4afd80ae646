"""What YOLOv8 is trained towards: task-aligned assignment (Feng, TOOD 2021), CIoU (Zheng 2020), distribution focal loss (Li 2020).

For films: an image holds one lumbosacral area or none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from lumbar.networks.yolov8 import BINS, cell_centres

TOP_CELLS, ALPHA, BETA = 10, 0.5, 6.0
GAINS = {"box": 7.5, "class": 0.5, "side": 1.5}


def detection_loss(maps: list[Tensor], boxes: Tensor, labels: Tensor, present: Tensor) -> dict[str, Tensor]:
    """Losses `box`, `class`, `side` and their weighted sum `total` for raw maps of a batch.

    boxes (B, 4) in input pixels, labels (B,) of the classes, present (B,) bool: whether the image holds the object at all.
    """
    flat = torch.cat([m.flatten(2) for m in maps], dim=2).float()
    points, strides = cell_centres(maps)
    logits, class_logits = flat[:, : 4 * BINS].unflatten(1, (4, BINS)), flat[:, 4 * BINS :]
    sides = (logits.softmax(dim=2) * torch.arange(BINS, device=flat.device)[:, None]).sum(dim=2)
    predicted = torch.cat([points - sides[:, :2] * strides, points + sides[:, 2:] * strides], dim=1).transpose(1, 2)
    wanted = boxes.float()[:, None]
    score = class_logits.detach().sigmoid().gather(1, labels[:, None, None].expand(-1, 1, flat.shape[2]))[:, 0]
    share = assign(score, ciou(predicted.detach(), wanted).clamp(min=0), points, boxes) * present[:, None]
    target = torch.zeros_like(class_logits).scatter_(1, labels[:, None, None].expand_as(share[:, None]), share[:, None])
    total_share = share.sum().clamp(min=1.0)
    far = torch.cat([points.T - wanted[..., :2], wanted[..., 2:] - points.T], dim=2) / strides[:, None]
    parts = {
        "box": ((1 - ciou(predicted, wanted)) * share).sum() / total_share,
        "class": F.binary_cross_entropy_with_logits(class_logits, target, reduction="sum") / total_share,
        "side": (side_loss(logits.permute(0, 3, 1, 2), far).mean(dim=2) * share).sum() / total_share,
    }
    total = sum((GAINS[name] * part for name, part in parts.items()), torch.zeros((), device=flat.device))
    return {**parts, "total": total}


def assign(score: Tensor, overlap: Tensor, points: Tensor, boxes: Tensor) -> Tensor:
    """Task-aligned shares (B, N) in [0, 1]: how far each cell answers for the object of its image.

    The `TOP_CELLS` cells inside the box that agree best, by score ** ALPHA * overlap ** BETA, share it; the best of them gets
    its overlap as its share, the others in proportion.
    """
    inside = (
        (points[0] > boxes[:, None, 0])
        & (points[1] > boxes[:, None, 1])
        & (points[0] < boxes[:, None, 2])
        & (points[1] < boxes[:, None, 3])
    )
    agreement = score**ALPHA * overlap**BETA * inside
    least = agreement.topk(min(TOP_CELLS, agreement.shape[1]), dim=1).values[:, -1:]
    agreement = agreement * (agreement >= least)
    best = agreement.amax(dim=1, keepdim=True)
    best_overlap = (overlap * (agreement > 0)).amax(dim=1, keepdim=True)
    return agreement / best.clamp(min=1e-12) * best_overlap


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU of boxes (..., 4): overlap less the distance of the centres and the difference of the proportions.

    >>> round(float(ciou(torch.tensor([0.0, 0, 10, 10]), torch.tensor([0.0, 0, 10, 10]))), 4)
    1.0
    >>> round(float(ciou(torch.tensor([0.0, 0, 10, 10]), torch.tensor([5.0, 0, 15, 10]))), 4)  # 1/3 - 25 / (15^2 + 10^2)
    0.2564
    """
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(dim=-1)
    iou = shared / (size_a.clamp(min=0).prod(dim=-1) + size_b.prod(dim=-1) - shared + 1e-9)
    around = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    distance = (apart**2).sum(dim=-1) / ((around**2).sum(dim=-1) + 1e-9)
    angle_a = torch.atan(size_a[..., 0] / size_a[..., 1].clamp(min=1e-6))
    angle_b = torch.atan(size_b[..., 0] / size_b[..., 1].clamp(min=1e-6))
    shape = 4 / math.pi**2 * (angle_a - angle_b) ** 2
    with torch.no_grad():
        alpha = shape / (1 - iou + shape + 1e-9)
    return iou - distance - alpha * shape


def side_loss(logits: Tensor, distance: Tensor) -> Tensor:
    """Distribution focal loss: cross-entropy with the two bins next to the true distance, weighted by nearness.

    logits (..., BINS), distance (...) in strides.
    """
    distance = distance.clamp(0, BINS - 1 - 0.01)
    lower = distance.floor()
    upper_share = distance - lower
    log_share = logits.log_softmax(dim=-1)
    at_lower = log_share.gather(-1, lower.long()[..., None])[..., 0]
    at_upper = log_share.gather(-1, lower.long()[..., None] + 1)[..., 0]
    return -(1 - upper_share) * at_lower - upper_share * at_upper
