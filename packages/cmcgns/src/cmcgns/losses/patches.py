"""SimSiam between patches and report-conditioned patches."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor


def patch_loss(patches: Tensor, conditioned: Tensor, predictor: Callable[[Tensor], Tensor]) -> Tensor:
    """SimSiam (Chen and He 2021) of f^I and f^{R->I} (section 1.1, L_local_image).

    -1/2 mean over pairs and patches of cos(h(f^I), sg f^{R->I}) + cos(h(f^{R->I}), sg f^I).

    Args:
        patches: f^I (..., D).
        conditioned: f^{R->I} (..., D).
        predictor: h, (..., D) -> (..., D).

    Returns:
        A scalar in [-1, 1].

    Example:
        >>> import torch
        >>> same = torch.ones(1, 2, 3)
        >>> round(float(patch_loss(same, same, torch.nn.Identity())), 4)
        -1.0
    """
    forth = F.cosine_similarity(predictor(patches), conditioned.detach(), dim=-1)
    back = F.cosine_similarity(predictor(conditioned), patches.detach(), dim=-1)
    return -(forth + back).mean() / 2
