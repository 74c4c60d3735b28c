"""What a package supplies to the shared loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

Batch = dict[str, Tensor]


class Task(Protocol):
    """A model, its samples and its loss.

    `batch` must draw every random number from the given generators and `loss` may use torch's own (dropout): the
    loop re-keys both, so that neither workers nor a resumed run change anything. Every parameter that requires a
    gradient must take part in the loss (DistributedDataParallel waits for it).
    """

    model: nn.Module
    """Called by `loss`. The loop replaces it by its distributed wrapper while it trains."""

    def train_size(self) -> int:
        """Number of training samples."""
        ...

    def batch(self, indices: Sequence[int], rngs: Sequence[np.random.Generator]) -> Batch:
        """CPU tensors of these samples; the generator beside an index is keyed by (seed, epoch, index)."""
        ...

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of one micro-batch on the device; "loss" is minimised, the others are logged.

        The global loss is the mean over micro-batches and processes. Sums over a batch (soft Dice, contrastive
        logits) go through `sum_across_ranks`, so that the number of processes does not change the loss.
        """
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics of a model in eval mode, gradients off; NaN where undefined. Runs on rank 0 alone."""
        ...

    def model_config(self) -> dict[str, Any]:
        """What must travel with the weights, as JSON values."""
        ...
