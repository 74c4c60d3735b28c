"""Test-time augmentation: the same slice mirrored or rescaled, and the answer brought back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch.nn.functional as F
from torch import Tensor

from .options import Tta

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class View:
    """A way to look at slices: axes that are mirrored (-1 columns, -2 rows), factor of the size."""

    flips: tuple[int, ...] = ()
    scale: float = 1.0


_FLIPS = ((), (-1,), (-2,), (-2, -1))
_SCALES = (1.0, 0.75, 1.25)
VIEWS: dict[Tta, tuple[View, ...]] = {
    "none": (View(),),
    "flips": tuple(View(flips) for flips in _FLIPS),
    "scales": tuple(View(scale=scale) for scale in _SCALES),
    "all": tuple(View(flips, scale) for flips, scale in product(_FLIPS, _SCALES)),
}


def look(network: Network, planes: Tensor, view: View) -> Tensor:
    """Logits (B, K, h, w) of planes (B, C, h, w) as seen through a view, in the place of the original.

    Example:
        >>> import torch
        >>> planes = torch.arange(12.0).reshape(1, 1, 3, 4)
        >>> bool((look(lambda x: x, planes, View((-2, -1))) == planes).all())
        True
    """
    size = (planes.shape[-2], planes.shape[-1])
    seen = planes.flip(view.flips) if view.flips else planes
    if view.scale != 1:
        target = [max(1, round(length * view.scale)) for length in size]
        seen = F.interpolate(seen, size=target, mode="bilinear", antialias=True)
    logits = network(seen)
    if view.scale != 1:
        logits = F.interpolate(logits, size=size, mode="bilinear", antialias=True)
    return logits.flip(view.flips) if view.flips else logits
