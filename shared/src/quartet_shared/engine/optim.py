"""Optimiser, learning rate and their state as plain tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW (betas 0.9, 0.999) or SGD over the trainable parameters.

    Exempting vectors and scalars (biases, norm gains) from weight decay is common practice and the default.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": config.weight_decay},
        {
            "params": [p for p in trainable if p.ndim <= 1],
            "weight_decay": config.weight_decay * config.decay_vectors,
        },
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)


def learning_rate(config: TrainConfig, step: int, total: int, epoch_steps: int = 1) -> float:
    """Learning rate of a step, a pure function: linear warm-up, then the decay to 0 over the steps that are left.

    With t in [0, 1) the fraction of the decay done: constant 1, cosine (1 + cos(pi t)) / 2, poly (1 - t)^power.

    Args:
        config: lr, schedule, warmup_steps, poly_power, schedule_lag, schedule_by.
        step: optimiser steps before this one, from 0.
        total: optimiser steps of the whole run.
        epoch_steps: optimiser steps of an epoch, for a decay by epochs.

    Example:
        >>> learning_rate(TrainConfig(lr=0.1, schedule="cosine"), step=50, total=100)
        0.05
    """
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule_by == "epoch":
        step = max(step // epoch_steps * epoch_steps, config.warmup_steps)
    late = max(step - config.warmup_steps - config.schedule_lag, 0)
    t = late / max(total - config.warmup_steps, 1)
    if config.schedule == "cosine":
        return config.lr * (1 + math.cos(math.pi * t)) / 2
    return config.lr * (1 - t) ** config.poly_power if config.schedule == "poly" else config.lr


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """State of an optimiser as `<parameter number>.<name>` -> tensor. Its settings belong to the configuration."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, entry in state.items() for name, value in entry.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Inverse of `optimizer_tensors`; the settings stay those of `optimizer`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        i, name = key.split(".", 1)
        state.setdefault(int(i), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
