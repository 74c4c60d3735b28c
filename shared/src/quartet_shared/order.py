"""Order and randomness as pure functions of (seed, epoch, step, sample).

Nothing here has a state, so workers, prefetch, the number of processes and a resumed run cannot change which
sample comes when, nor how it is augmented.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError


def stream_key(seed: int, purpose: str, *keys: int) -> int:
    """128-bit key of an independent random stream: the head of SHA-256 over the seed, the purpose and the keys.

    Example:
        >>> stream_key(0, "order", 1) == stream_key(0, "order", 1)
        True
        >>> stream_key(0, "order", 1) == stream_key(0, "dropout", 1)
        False
    """
    text = ":".join(map(str, (seed, purpose, *keys)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def generator(seed: int, purpose: str, *keys: int) -> np.random.Generator:
    """Philox generator of its own for one purpose, e.g. `generator(seed, "sample", epoch, index)`.

    Args:
        seed: the run's seed.
        purpose: what the numbers are for; streams of different purposes never meet.
        keys: what the stream belongs to (epoch, sample, ...).

    Example:
        >>> a, b = generator(7, "sample", 0, 3), generator(7, "sample", 0, 3)
        >>> bool(a.random() == b.random())
        True
    """
    return np.random.Generator(np.random.Philox(key=stream_key(seed, purpose, *keys)))


def batch_indices(n: int, global_batch: int, seed: int, step: int) -> tuple[int, NDArray[np.int64]]:
    """Samples of one optimiser step: a new permutation every epoch, cut into batches, the ragged tail dropped.

    Args:
        n: number of training samples.
        global_batch: samples of one optimiser step, over all processes and accumulated micro-batches.
        seed: the run's seed.
        step: number of optimiser steps before this one, from 0.

    Returns:
        The epoch (from 0) and the indices (global_batch,) int64 in [0, n), all different.

    Raises:
        ConfigError: the data set is smaller than one batch.

    Example:
        >>> epoch, indices = batch_indices(10, 4, seed=0, step=2)  # two batches of four per epoch
        >>> epoch, len(indices)
        (1, 4)
    """
    epoch, place = divmod(step, steps_per_epoch(n, global_batch))
    return epoch, _permutation(n, seed, epoch)[place * global_batch : (place + 1) * global_batch]


def steps_per_epoch(n: int, global_batch: int) -> int:
    """Whole batches in `n` samples.

    Raises:
        ConfigError: not even one.
    """
    if global_batch < 1 or n < global_batch:
        raise ConfigError(
            f"expected a training set of at least one batch, got {n} samples for batch_size={global_batch}: "
            "lower batch_size or add samples"
        )
    return n // global_batch


@lru_cache(maxsize=2)
def _permutation(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    order = generator(seed, "order", epoch).permutation(n)
    order.setflags(write=False)  # the cache hands out views of it
    return order
