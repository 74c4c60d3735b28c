"""InfoNCE between wholes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .rows import require_pairs, sum_over_rows


def info_nce(
    a: Tensor,
    b: Tensor,
    scale: float | Tensor,
    *,
    rows: Tensor | None = None,
    weights: tuple[float, float] = (0.5, 0.5),
) -> Tensor:
    """Symmetric InfoNCE (van den Oord et al. 2018; section 1.1, L_global) of N pairs.

    With s_ij = scale cos(a_i, b_j): 1/2 [CE_i(s_i., i) + CE_i(s_.i, i)], averaged over i.

    Args:
        a: (N, D), any length; only directions count.
        b: (N, D), row i belongs to row i of `a`.
        scale: 1 / temperature.
        rows: pairs to sum over, as several ranks share them; the results of all ranks then add up to the loss.
        weights: of the directions a -> b and b -> a.

    Returns:
        A scalar.

    Raises:
        DataError: the shapes differ.

    Example:
        >>> round(float(info_nce(torch.eye(2), torch.eye(2), scale=1.0)), 4)
        0.3133
    """
    require_pairs(a, b, "info_nce")
    first, second = F.normalize(a, dim=-1), F.normalize(b, dim=-1)

    def loss(part: Tensor) -> Tensor:
        forth = F.cross_entropy(scale * first[part] @ second.T, part, reduction="sum")
        back = F.cross_entropy(scale * second[part] @ first.T, part, reduction="sum")
        return weights[0] * forth + weights[1] * back

    return sum_over_rows(loss, rows, len(a), a.device) / len(a)


def score_contrast(scores: Tensor) -> Tensor:
    """Symmetric InfoNCE of a matrix of scores (B, B) whose diagonal holds the pairs.

    Example:
        >>> round(float(score_contrast(torch.eye(2))), 4)
        0.3133
    """
    target = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
