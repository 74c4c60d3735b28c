"""Sentences of many reports as one tensor: rows, and how many belong to each report."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Ragged(NamedTuple):
    """Rows of all reports one after the other.

    Attributes:
        values: (N, D) rows of report 0, then of report 1, ...
        counts: (B,) int64, rows of each report; they sum to N.
    """

    values: Tensor
    counts: Tensor

    def owners(self) -> Tensor:
        """(N,) int64, the report of each row.

        Example:
            >>> Ragged(torch.zeros(3, 2), torch.tensor([2, 1])).owners().tolist()
            [0, 0, 1]
        """
        return torch.repeat_interleave(self.counts, output_size=len(self.values))

    def places(self) -> Tensor:
        """(N,) int64, the place of each row inside its report, from 0."""
        starts = self.counts.cumsum(0) - self.counts
        return torch.arange(len(self.values), device=self.counts.device) - starts[self.owners()]

    def padded(self) -> tuple[Tensor, Tensor]:
        """Rows as (B, S, D), zeros behind the last one, and the mask (B, S) that is True at real rows.

        Example:
            >>> rows, mask = Ragged(torch.ones(3, 2), torch.tensor([2, 1])).padded()
            >>> rows.shape, mask.tolist()
            (torch.Size([2, 2, 2]), [[True, True], [True, False]])
        """
        width = int(self.counts.max()) if len(self.counts) else 0
        mask = torch.arange(width, device=self.counts.device) < self.counts[:, None]
        rows = self.values.new_zeros(len(self.counts), width, self.values.shape[-1])
        return rows.index_put((self.owners(), self.places()), self.values), mask

    def split(self) -> list[Tensor]:
        """One (S_i, D) tensor per report."""
        return list(self.values.split(self.counts.tolist()))


def segment_mean(rows: Tensor, segments: Tensor, size: int) -> Tensor:
    """Mean of the rows (M, D) of each of `size` segments, (size, D); zero where a segment has none.

    Args:
        rows: (M, D).
        segments: (M,) int64 in [0, size).
        size: number of segments.

    Example:
        >>> segment_mean(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]), 2).tolist()
        [[2.0], [5.0]]
    """
    total = rows.new_zeros(size, rows.shape[-1]).index_add(0, segments, rows)
    count = rows.new_zeros(size).index_add(0, segments, torch.ones_like(segments, dtype=rows.dtype))
    return total / count.clamp_min(1)[:, None]
