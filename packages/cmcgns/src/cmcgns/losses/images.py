"""Contrast of images for one sentence: what it sees in its own image against what it sees in the others."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .._shared.errors import DataError


def image_contrast(
    scores: Tensor, owners: Tensor, scale: float | Tensor = 1.0, groups: Tensor | None = None
) -> Tensor:
    """Find the image of every sentence by what the sentence sees in it. Our addition; GLoRIA has it for words.

    The contrasts of sentences of CM-CGNS (and MGCA) look at a sentence's own image only, so the counterpart of a
    sentence may be the same vector in every image and the loss is still small. Here it is not:

        -mean_n [scale s_on - log sum_i w_in e^{scale s_in}],  o = owner of n

    w_in = 0 for another image whose report has a sentence of the group of n (a false negative), else 1.

    Args:
        scores: s (B, N), cosine of sentence n with its counterpart in image i (`CrossModalAttention.agreement`).
        owners: (N,) int64, the image that each sentence belongs to.
        scale: 1 / temperature.
        groups: (N,) int64, cluster of every sentence; None: no image is left out.

    Returns:
        A scalar.

    Raises:
        DataError: the shapes differ.

    Example:
        >>> scores = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> round(float(image_contrast(scores, torch.tensor([0, 1]))), 4)
        0.3133
        >>> float(image_contrast(scores, torch.tensor([0, 1]), groups=torch.tensor([5, 5])))  # they say the same
        0.0
    """
    if (
        scores.ndim != 2
        or owners.shape != scores.shape[1:]
        or (groups is not None and groups.shape != owners.shape)
    ):
        raise DataError(
            f"image_contrast: expected scores (B, N), owners (N,) and groups (N,), got {tuple(scores.shape)}, "
            f"{tuple(owners.shape)} and {None if groups is None else tuple(groups.shape)}"
        )
    logits = scale * scores.T
    if groups is not None:
        logits = logits.masked_fill(_says_the_same(groups, owners, len(scores)), -torch.inf)
    return F.cross_entropy(logits, owners)


def _says_the_same(groups: Tensor, owners: Tensor, images: int) -> Tensor:
    """(N, B) bool: other images whose report has a sentence of the group of sentence n."""
    names, group = groups.unique(return_inverse=True)
    held = torch.zeros(len(names), images, dtype=torch.bool, device=groups.device)
    held[group, owners] = True
    return held[group].scatter(1, owners[:, None], False)
