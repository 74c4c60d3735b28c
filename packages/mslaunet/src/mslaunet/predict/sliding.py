"""Sliding window over slices with Gaussian blending of the logits."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from .views import Network


@dataclass(frozen=True)
class SlidingWindow:
    """A network that looks at one window after the other and blends what it says.

    Logits are weighted by a Gaussian of sigma = side / 8 around the window's centre (nnU-Net's choice) and divided by
    the sum of weights, so that a pixel is decided by the windows in whose middle it lies.

    Attributes:
        network: (B, C, h, w) -> logits (B, K, h, w).
        side_px: side of the window; slices that are smaller in a direction are seen whole there.
        overlap: part of a window that the next one covers again, in [0, 1).
    """

    network: Network
    side_px: int
    overlap: float = 0.5

    def __call__(self, planes: Tensor) -> Tensor:
        """(B, C, h, w) -> logits (B, K, h, w), h and w of any size."""
        height, width = (min(self.side_px, length) for length in planes.shape[-2:])
        rows, columns = (window_starts(length, self.side_px, self.overlap) for length in planes.shape[-2:])
        if len(rows) == len(columns) == 1:
            return self.network(planes)
        weights = gaussian(height, planes.device)[:, None] * gaussian(width, planes.device)
        total = torch.zeros(planes.shape[-2:], device=planes.device)
        logits: Tensor | None = None
        for top, left in product(rows, columns):
            place = (..., slice(top, top + height), slice(left, left + width))
            part = self.network(planes[place]).float()
            if logits is None:
                logits = part.new_zeros(*part.shape[:2], *planes.shape[-2:])
            logits[place] += part * weights
            total[place] += weights
        if logits is None:
            raise ValueError("no window: planes without pixels")
        return logits.div_(total)


def window_starts(length: int, side: int, overlap: float) -> list[int]:
    """First pixels of equally spread windows that cover `length` pixels, steps at most (1 - overlap) x side.

    >>> window_starts(512, 224, 0.5)
    [0, 96, 192, 288]
    >>> window_starts(100, 224, 0.5)
    [0]
    """
    if length <= side:
        return [0]
    step = max(1, int(side * (1 - overlap)))
    count = -(-(length - side) // step) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def gaussian(side: int, device: torch.device | None = None) -> Tensor:
    """Weights (side,) of a window along one axis, 1 in the middle, never below 1e-3."""
    offset = torch.arange(side, device=device, dtype=torch.float32) - (side - 1) / 2
    return torch.exp(-0.5 * (offset / (side / 8)) ** 2).clamp_min(1e-3)
