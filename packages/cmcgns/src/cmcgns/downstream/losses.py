"""Losses of the downstream protocol."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from .._shared.engine.distributed import sum_across_ranks


def segmentation_loss(logits: Tensor, masks: Tensor, focal_weight: float = 10.0) -> dict[str, Tensor]:
    """Focal loss (gamma 2, no class weight) times `focal_weight`, minus the log of the soft Dice of the whole batch.

    The Dice sums are added over all processes, so that the loss does not depend on how a batch is spread.

    Args:
        logits: (B, 1, H, W).
        masks: (B, 1, H, W) of 0 and 1.
        focal_weight: 10 in the protocol.

    Example:
        >>> perfect = torch.tensor([[[[20.0, -20.0]]]])
        >>> round(float(segmentation_loss(perfect, (perfect > 0).float())["loss"]), 4)
        0.0
    """
    focal = sigmoid_focal_loss(logits, masks, alpha=-1, gamma=2.0, reduction="mean")
    probs = logits.sigmoid()
    sums = sum_across_ranks(torch.stack([(probs * masks).sum(), probs.sum() + masks.sum()]))
    soft_dice = (2 * sums[0] + 1e-6) / (sums[1] + 1e-6)
    overlap = -soft_dice.log()
    return {"loss": focal_weight * focal + overlap, "focal": focal, "dice": overlap}


def classification_loss(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Binary cross-entropy of the findings that are stated or denied; NaN labels do not count.

    Args:
        logits: (B, K).
        labels: (B, K) of 0, 1 and NaN.

    Example:
        >>> labels = torch.tensor([[1.0, float("nan")]])
        >>> round(float(classification_loss(torch.zeros(1, 2), labels)["loss"]), 4)
        0.6931
    """
    known = ~labels.isnan()
    raw = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(0.0), reduction="none")
    return {"loss": (raw * known).sum() / known.sum().clamp_min(1)}
