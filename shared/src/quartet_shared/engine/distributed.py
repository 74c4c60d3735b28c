"""Several processes started by torchrun; with one process all of this does nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

# A dead process closes its connections, which the others notice at once; this is for one that hangs. It must be
# longer than rank 0 may prepare data or validate while the others wait.
TIMEOUT = timedelta(hours=1)


def world_size() -> int:
    """Number of processes that torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def join_processes() -> None:
    """Connect to the other processes, once: gloo for CPU tensors and, where there is CUDA, NCCL for its own."""
    if world_size() > 1 and not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        dist.init_process_group(timeout=TIMEOUT)


class _Sum(torch.autograd.Function):
    """All-reduce whose gradient is all-reduced too; torch's own (`torch.distributed.nn`) is deprecated."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        total = local.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return sum_across_ranks(grad)


def sum_across_ranks(local: Tensor) -> Tensor:
    """Sum of a tensor over all processes, differentiable; the tensor itself where there is one process.

    The gradient is summed as well, which is what DDP's mean of gradients needs: for a loss L(S) of the global sum
    S that every one of W ranks computes, d(sum of the W losses)/ds_r = W dL/dS, and DDP divides by W.

    Args:
        local: this process's part, any shape, the same on all.

    Example:
        >>> sum_across_ranks(torch.ones(2))
        tensor([1., 1.])
    """
    if world_size() == 1:
        return local
    join_processes()
    total: Tensor = _Sum.apply(local)
    return total


@contextmanager
def main_process_first() -> Iterator[None]:
    """Let rank 0 through first, the others after it: what it wrote to the shared disk is then there for them."""
    if rank() != 0:
        wait_for_all()
    yield
    if rank() == 0:
        wait_for_all()


def wait_for_all() -> None:
    """Return when every process has called this."""
    sum_across_ranks(torch.zeros(1))
