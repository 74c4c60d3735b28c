"""What a network costs, by torch's own count of its arithmetic."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def forward_gflop(model: nn.Module, shape: tuple[int, int, int]) -> float:
    """Arithmetic of one forward pass in eval mode, in 10^9 operations; a multiply-add counts as two.

    Convolutions and matrix products only; nothing is computed (meta tensors).

    Args:
        model: (B, C, H, W) in.
        shape: (C, H, W) of one image.

    Example:
        >>> round(forward_gflop(nn.Conv2d(1, 1, 3), (1, 102, 102)) * 1e9)
        180000
    """
    shadow = copy.deepcopy(model).eval().to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        shadow(torch.empty(1, *shape, device="meta"))
    return float(counter.get_total_flops()) / 1e9
