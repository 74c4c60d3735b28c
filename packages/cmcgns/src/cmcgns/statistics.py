"""What the clusters look like at a step: logged, never trained on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .cluster import assign, nearest_two
from .losses import false_negative_groups


@torch.no_grad()
def cluster_statistics(
    z1: Tensor, z2: Tensor, centroids: Tensor | None, assign_space: str = "text"
) -> dict[str, Tensor]:
    """Numbers of one batch, all 0 before the clusters start.

    Args:
        z1: (N, D) sentences.
        z2: (N, D) image-conditioned sentences.
        centroids: (K, D) or None.
        assign_space: whose nearest centres count.

    Returns:
        clusters: centres in use; false_negative_rate: share of the N (N - 1) pairs that are false negatives;
        occupied_text, occupied_cross: share of centres that are the nearest of any z1, of any z2 (both sides should
        agree, defect D13); hard_cosine: mean cosine of a sentence and its second nearest centre.

    Example:
        >>> z = torch.eye(2)
        >>> {name: float(value) for name, value in cluster_statistics(z, z, z).items()}["occupied_text"]
        1.0
    """
    zero = z1.new_zeros(())
    names = ("clusters", "false_negative_rate", "occupied_text", "occupied_cross", "hard_cosine")
    if centroids is None:
        return dict.fromkeys(names, zero)
    k, n = len(centroids), len(z1)
    sizes = torch.bincount(false_negative_groups(z1, z2, centroids, assign_space), minlength=k)
    second = nearest_two(z1, centroids)[1]
    values = (
        zero + k,
        zero + (sizes * (sizes - 1)).sum() / max(n * (n - 1), 1),
        zero + assign(z1, centroids).unique().numel() / k,
        zero + assign(z2, centroids).unique().numel() / k,
        F.cosine_similarity(z1, centroids[second]).mean(),
    )
    return dict(zip(names, values, strict=True))
