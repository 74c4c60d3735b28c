"""Gradient caching: large batches in the memory of small ones, exactly.

The contrast of a batch needs the features of all samples, but a sample's features need only itself. So the towers run
chunk by chunk and keep features alone (Gao et al. 2021, GradCache); when the gradient of the features is known, each
chunk is computed again with its activations. Local losses are cached the same way: patches and sentences are features
too. torch's non-reentrant checkpoint does exactly this, replays dropout, and works under DistributedDataParallel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def in_chunks(
    function: Callable[..., tuple[Any, ...]], inputs: Sequence[Tensor], chunk: int | None, module: nn.Module
) -> list[tuple[Any, ...]]:
    """Call a function on parts of a batch; without gradient caching once, on the whole.

    Equal to one call on the whole batch as far as samples do not see each other inside `function`: batch norm in
    training mode takes the statistics of each chunk (its running ones are updated once).

    Args:
        function: tensors of some samples -> tensors.
        inputs: tensors of all samples, (B, ...) each.
        chunk: samples per call; None: all.
        module: whose norm statistics must not be updated a second time.

    Returns:
        The results of the calls, in order.
    """
    if chunk is None or chunk >= len(inputs[0]):
        return [function(*inputs)]
    parts = zip(*(value.split(chunk) for value in inputs), strict=True)
    if not torch.is_grad_enabled():
        return [function(*part) for part in parts]

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _frozen_statistics(module)

    return [checkpoint(function, *part, use_reentrant=False, context_fn=contexts) for part in parts]


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Keep running means and variances as they are while a chunk is computed again."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
