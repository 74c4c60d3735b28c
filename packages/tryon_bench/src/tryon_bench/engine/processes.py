"""Evaluation under torchrun: who takes which chunks, and waiting for the others."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta
from typing import TYPE_CHECKING

from .._shared.errors import ConfigError

if TYPE_CHECKING:
    import torch


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


def own_device(name: str) -> torch.device:
    """The device of a name; under torchrun each process of a machine takes its own GPU.

    Raises:
        ConfigError: not a device name.
        ResourceError: this machine does not have it.
    """
    import torch

    from .._shared.engine.device import resolve_device

    device = resolve_device(name)
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


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
