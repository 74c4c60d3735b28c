"""Evaluation under torchrun: who takes which chunks, and waiting for the others."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta

from .._shared.errors import ConfigError


def processes() -> tuple[int, int]:
    """(rank, number of processes) that torchrun set; (0, 1) without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def parse_shard(text: str | None) -> tuple[int, int]:
    """`K/N` of `--shard`, counted from 1, as (index, number); without it that of torchrun.

    Raises:
        ConfigError: anything else.
    """
    if text is None:
        return processes()
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise ConfigError(f"--shard {text!r}: expected K/N with 1 <= K <= N, such as 1/4")
    return int(index) - 1, int(count)


def wait_for_others() -> None:
    """Return when every process of torchrun has come here; at once without torchrun.

    Processes may be hours apart, which is longer than the library's own limit of half an hour.
    """
    if processes()[1] == 1:
        return
    import torch.distributed as dist

    if not dist.is_initialized():
        dist.init_process_group("gloo", timeout=timedelta(days=7))
        atexit.register(dist.destroy_process_group)
    dist.barrier()
