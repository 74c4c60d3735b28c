"""Batches of this process, step by step; loader workers are only a prefetch over step -> batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from ..errors import ConfigError, QuartetError
from ..order import batch_indices, generator
from .config import TrainConfig
from .distributed import rank, world_size
from .signals import default_signals
from .task import Batch, Task

_WORKER_TIMEOUT_S = 600  # of one batch; a worker that needs longer hangs


def check_divisible(config: TrainConfig) -> None:
    """Refuse a global batch that cannot be cut into equal micro-batches.

    Raises:
        ConfigError: batch_size is no multiple of processes x accumulate.
    """
    parts = world_size() * config.accumulate
    if config.batch_size % parts:
        raise ConfigError(
            f"expected batch_size to be a multiple of processes x accumulate = {world_size()} x "
            f"{config.accumulate}, got {config.batch_size}: use {config.batch_size // parts * parts or parts}"
        )


def micro_batches(task: Task, config: TrainConfig, step: int) -> list[Batch]:
    """This process's micro-batches of a step: every W-th sample of the global batch, in `accumulate` parts.

    So micro-batch m holds the same samples over all processes, however many they are.
    """
    epoch, indices = batch_indices(task.train_size(), config.batch_size, config.seed, step)
    parts = indices[rank() :: world_size()].reshape(config.accumulate, -1).tolist()
    return [task.batch(part, [generator(config.seed, "sample", epoch, i) for i in part]) for part in parts]


class _Steps(Dataset):
    def __init__(self, task: Task, config: TrainConfig) -> None:
        self.task, self.config = task, config

    def __getitem__(self, step: int) -> list[Batch] | QuartetError:
        try:
            return micro_batches(self.task, self.config, step)
        except QuartetError as err:  # as a value: torch would re-raise it with the worker's trace as its message
            return err


def feed(task: Task, config: TrainConfig, first: int, total: int) -> Iterator[list[Batch]]:
    """The micro-batches of steps `first` .. `total` - 1, in this order, on the CPU.

    Raises:
        DataError: a sample cannot be read, whichever process read it.
    """
    steps = _Steps(task, config)
    loader = DataLoader(
        steps,
        sampler=range(first, total),
        batch_size=None,
        collate_fn=_unchanged,
        num_workers=config.workers,
        timeout=_WORKER_TIMEOUT_S if config.workers else 0,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # else it draws from the global one
        pin_memory=torch.cuda.is_available(),
    )
    for item in loader:
        if isinstance(item, QuartetError):
            raise item
        yield item


def _unchanged(item: list[Batch] | QuartetError) -> list[Batch] | QuartetError:
    return item


def _start_worker(_: int) -> None:
    default_signals()
