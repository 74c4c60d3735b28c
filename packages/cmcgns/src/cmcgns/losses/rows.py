"""Losses of rows, computed a few rows at a time: what an N x N matrix would need is recomputed, not stored."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .._shared.errors import DataError

CHUNK = 512  # rows of an (N, N) matrix that exist at a time: 8 MB each for N = 4096 in float32


def sum_over_rows(
    function: Callable[[Tensor], Tensor], rows: Tensor | None, size: int, device: torch.device, chunk: int = CHUNK
) -> Tensor:
    """Sum of `function(some row numbers)`, a scalar each, over all rows; intermediate results are recomputed.

    Args:
        function: row numbers (c,) int64 -> sum of their losses.
        rows: the rows wanted; None: all of `size`.
        size: number of rows.
        device: where row numbers are made.
        chunk: rows per call.
    """
    wanted = torch.arange(size, device=device) if rows is None else rows
    parts = wanted.split(chunk)
    if len(parts) == 1:
        return function(parts[0])
    return torch.stack([checkpoint(function, part, use_reentrant=False) for part in parts]).sum()


def require_pairs(a: Tensor, b: Tensor, names: str) -> None:
    """Refuse what is not two matrices of one shape.

    Raises:
        DataError: it is not.
    """
    if a.ndim != 2 or a.shape != b.shape or not len(a):
        raise DataError(
            f"{names}: expected two tensors of one shape (N, D) with N of at least 1, got {tuple(a.shape)} and "
            f"{tuple(b.shape)}"
        )
