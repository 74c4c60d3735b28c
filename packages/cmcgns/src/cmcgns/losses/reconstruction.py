"""CM-MIR: what the masked patches should look like, and how far off they are."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .._shared.errors import DataError


def patch_pixels(
    images: Tensor, grid: tuple[int, int], target: Literal["pixels", "normalised"] = "pixels"
) -> Tensor:
    """Grey values of every patch of a grid.

    Args:
        images: (B, C, H, W); the mean over channels is taken. H and W are multiples of the grid.
        grid: rows and columns of patches.
        target: grey values as they are, or every patch with mean 0 and deviation 1 (He et al. 2022).

    Returns:
        (B, P, h w), patch p being the cell (p // columns, p % columns), its pixels in reading order.

    Raises:
        DataError: the grid does not divide the image.

    Example:
        >>> import torch
        >>> patch_pixels(torch.arange(4.0).reshape(1, 1, 2, 2), (1, 2)).tolist()
        [[[0.0, 2.0], [1.0, 3.0]]]
    """
    rows, columns = grid
    batch, _, height, width = images.shape
    if height % rows or width % columns:
        raise DataError(
            f"expected an image that a grid of {rows} x {columns} divides, got {height} x {width} pixels"
        )
    cells = images.mean(1).reshape(batch, rows, height // rows, columns, width // columns)
    pixels = cells.permute(0, 1, 3, 2, 4).reshape(batch, rows * columns, -1)
    if target == "pixels":
        return pixels
    centred = pixels - pixels.mean(-1, keepdim=True)
    return centred / (pixels.var(-1, keepdim=True) + 1e-6).sqrt()


def reconstruction_loss(
    predicted: Tensor, target: Tensor, mask: Tensor, on: Literal["masked", "all"] = "masked"
) -> Tensor:
    """Mean absolute error over the pixels of the masked patches (or of all, as the official code does).

    Args:
        predicted: (B, P, M).
        target: (B, P, M).
        mask: (B, P) bool, True where the patch was hidden; every image hides the same number.
        on: the patches that count.

    Returns:
        A scalar of at least 0.

    Example:
        >>> import torch
        >>> ones, mask = torch.ones(1, 2, 3), torch.tensor([[True, False]])
        >>> float(reconstruction_loss(ones * torch.tensor([[[2.0], [9.0]]]), ones, mask))
        1.0
    """
    error = (predicted - target).abs().mean(-1)
    return error[mask].mean() if on == "masked" else error.mean()
