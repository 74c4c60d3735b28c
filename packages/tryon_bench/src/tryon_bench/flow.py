"""Appearance flow without training: a dense backward map fitted to one pair of silhouettes, coarse to fine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ._shared.errors import DataError
from .resize import resize_floats

if TYPE_CHECKING:
    from torch import Tensor

Map = NDArray[np.float64]

ROWS = 64  # of the finest flow; what is between is interpolated
_LEVELS = (4, 2, 1)  # strides of the flow's knots on that grid: 16, 32 and 64 rows
_STEPS = 50  # of Adam, on each level
_RATE = 0.004  # in units of the garment's frame
_CHARBONNIER = (1e-3, 0.45)  # epsilon and exponent of the smoothness, as PF-AFN takes it


def fit_flow(
    shape: NDArray[np.bool_],
    target: NDArray[np.bool_],
    start: Map,
    hidden: NDArray[np.bool_] | None = None,
    *,
    smoothness: float = 3.0,
) -> Map:
    """Find the smooth map under which the garment's shape covers the target.

    Minimises the squared difference of the warped shape and the target, plus the squared distance, in the garment's
    frame, of the target's outline from the garment's, plus `smoothness` times the generalised Charbonnier penalty
    (d^2 + e^2)^0.45 of the flow's second differences, which costs an affine map nothing. Adam on 16, then 32, then 64
    rows of knots; no random numbers. Colours take no part: nobody knows them on the person who has not put it on.

    Args:
        shape: (h, w) the garment in its photo.
        target: (H, W) where it goes.
        start: (H, W, 2) backward map to begin with, x and y in 0..1 of the garment's photo.
        hidden: (H, W) pixels of which nobody knows whether the garment lies behind them: arms, hair.
        smoothness: weight of the last term.

    Returns:
        (H, W, 2), of the same unit as `start`.

    Raises:
        DataError: an empty mask, or sizes that differ.
    """
    if start.shape != (*target.shape, 2) or (hidden is not None and hidden.shape != target.shape):
        raise DataError(f"flow: expected a map {(*target.shape, 2)} and masks {target.shape}, got {start.shape}")
    if not shape.any() or not target.any() or shape.all():
        raise DataError("flow: expected a garment with something around it, and a target; a mask is empty or full")
    import torch

    height, width = target.shape
    grid = (ROWS, max(8, round(ROWS * width / height)))
    energy = _Energy(shape, target, hidden if hidden is not None else np.zeros_like(target), start, grid)
    with torch.enable_grad():
        shift = torch.zeros(1, 2, *(max(2, n // _LEVELS[0]) for n in grid))
        for stride in _LEVELS:
            shift = _at(shift.detach(), (max(2, grid[0] // stride), max(2, grid[1] // stride))).requires_grad_()
            optimiser = torch.optim.Adam([shift], lr=_RATE)
            for _ in range(_STEPS):
                optimiser.zero_grad()
                energy(_at(shift, grid), smoothness).backward()
                optimiser.step()
    found = _at(shift.detach(), grid)[0].double().numpy()
    return start + np.moveaxis(np.stack([resize_floats(plane, (height, width)) for plane in found]), 0, 2)


class _Energy:
    """What is minimised, on the flow's grid."""

    def __init__(
        self,
        shape: NDArray[np.bool_],
        target: NDArray[np.bool_],
        hidden: NDArray[np.bool_],
        start: Map,
        grid: tuple[int, int],
    ) -> None:
        distance = distance_transform_edt(shape) - distance_transform_edt(~shape)
        self.distance = _planes(resize_floats(distance / shape.shape[0], (2 * ROWS, 2 * ROWS)))
        self.shape = _planes(resize_floats(shape.astype(float), (2 * ROWS, 2 * ROWS)))
        self.target = _planes(resize_floats(target.astype(float), grid))
        self.known = _planes(1 - resize_floats(hidden.astype(float), grid))
        inside = (distance_transform_edt(target) <= target.shape[0] / ROWS) & target
        outline = resize_floats((inside & ~_near(hidden)).astype(float), grid)
        self.outline = _planes(outline / max(outline.sum(), 1e-9))
        self.start = _planes(np.moveaxis(np.stack([resize_floats(start[..., k], grid) for k in range(2)]), 0, 2))

    def __call__(self, shift: Tensor, smoothness: float) -> Tensor:
        from torch.nn import functional as F

        where = (self.start + shift).permute(0, 2, 3, 1) * 2 - 1
        warped = F.grid_sample(self.shape, where, padding_mode="border", align_corners=False)
        gap = F.grid_sample(self.distance, where, padding_mode="border", align_corners=False)
        overlap = ((warped - self.target) ** 2 * self.known).mean()
        edge = (gap**2 * self.outline).sum()
        return overlap + 100 * edge + smoothness * second_order(shift * ROWS)


def second_order(shift: Tensor) -> Tensor:
    """Charbonnier penalty of second differences along both axes: 0 (up to epsilon) for an affine map.

    Args:
        shift: (B, 2, H, W), px.
    """
    import torch

    epsilon, exponent = _CHARBONNIER
    terms = []
    for axis in (2, 3):
        n = shift.shape[axis]
        left, middle, right = (shift.narrow(axis, k, n - 2) for k in range(3))
        terms.append(
            (((left + right - 2 * middle) ** 2 + epsilon**2) ** exponent - epsilon ** (2 * exponent)).mean()
        )
    return torch.stack(terms).sum()


def _at(planes: Tensor, size: tuple[int, int]) -> Tensor:
    from torch.nn import functional as F

    return F.interpolate(planes, size=size, mode="bicubic", align_corners=False)


def _planes(image: NDArray[np.floating]) -> Tensor:
    import torch

    stacked = image[None] if image.ndim == 2 else np.moveaxis(image, 2, 0)
    return torch.from_numpy(np.array(stacked, dtype=np.float32, order="C"))[None]


def _near(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask with what lies within one pixel of the flow's grid."""
    return np.asarray(distance_transform_edt(~mask) <= mask.shape[0] / ROWS) if mask.any() else mask
