"""Tensors of all processes, with gradients, in the order that one process would have.

The shared loop gives rank r every W-th sample of a batch, so sample j of rank r is sample j W + r of the whole.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ._shared.engine.distributed import join_processes, rank, sum_across_ranks, world_size
from .ragged import Ragged


class _Gather(torch.autograd.Function):
    """All-gather of equal shapes; every rank's gradient for its own part is the sum over ranks."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        parts = [torch.empty_like(local) for _ in range(world_size())]
        dist.all_gather(parts, local.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return sum_across_ranks(grad)[rank()]


def gather_rows(local: Tensor) -> Tensor:
    """Rows of all ranks, in the order of the global batch.

    With DDP's mean of gradients this is exact for a loss that every rank computes of the whole, and for a loss of which
    every rank computes its share times the number of ranks.

    Args:
        local: (b, ...), the same shape on all ranks.

    Returns:
        (W b, ...); `local` itself where there is one process.
    """
    if world_size() == 1:
        return local
    join_processes()
    parts: Tensor = _Gather.apply(local)
    return parts.transpose(0, 1).flatten(0, 1)


def gather_ragged(*locals_: Ragged) -> tuple[list[Ragged], Tensor]:
    """Ragged rows of all ranks, in the order of the global batch; several with the same counts in one message.

    Ranks have different numbers of rows N_r: they are padded to the largest for the message.

    Args:
        locals_: rows (N_r, D_i) of the same b reports; b is the same on all ranks, N_r need not be.

    Returns:
        The whole of each, and the places (N_r,) int64 of this rank's rows in it.
    """
    counts = locals_[0].counts
    if world_size() == 1:
        return list(locals_), torch.arange(len(locals_[0].values), device=counts.device)
    rows = torch.cat([local.values for local in locals_], dim=1)
    with torch.no_grad():
        all_counts = gather_rows(counts)
    by_rank = all_counts.reshape(-1, world_size()).T  # (W, b)
    longest = int(by_rank.sum(1).max())
    padded = torch.cat([rows, rows.new_zeros(longest - len(rows), rows.shape[1])])
    join_processes()
    parts: Tensor = _Gather.apply(padded)
    order = _canonical_order(by_rank, longest)
    whole = parts.flatten(0, 1)[order]
    mine = (order // longest == rank()).nonzero()[:, 0]
    pieces = whole.split([local.values.shape[1] for local in locals_], dim=1)
    return [Ragged(piece, all_counts) for piece in pieces], mine


def _canonical_order(by_rank: Tensor, longest: int) -> Tensor:
    """Places of all real rows in (W, longest) flattened, sample by sample, the ranks taking turns."""
    ranks = len(by_rank)
    starts = by_rank.cumsum(1) - by_rank
    first = (starts + longest * torch.arange(ranks, device=by_rank.device)[:, None]).T.flatten()  # sample-major
    sizes = by_rank.T.flatten()
    inside = torch.arange(int(sizes.sum()), device=by_rank.device)
    inside = inside - torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)
    return torch.repeat_interleave(first, sizes) + inside
