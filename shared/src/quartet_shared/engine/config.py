"""Settings of the shared training loop."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ..config import FrozenModel


class TrainConfig(FrozenModel):
    """How long, how fast and how carefully a model is trained."""

    epochs: int = Field(100, ge=1, description="passes over the training set; max_steps wins where it is given")
    max_steps: int | None = Field(None, ge=1, description="optimiser steps in all")
    max_minutes: float | None = Field(
        None, gt=0, description="stop after this wall-clock time, resumed parts included"
    )
    batch_size: int = Field(8, ge=1, description="samples of one optimiser step, over all processes")
    accumulate: int = Field(1, ge=1, description="micro-batches that a batch is computed in, to save memory")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="adamw, or sgd with momentum")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(
        0.01, ge=0, description="decay of matrices and kernels; of vectors if decay_vectors"
    )
    decay_vectors: bool = Field(False, description="decay biases and norm gains too")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    schedule: Literal["constant", "cosine", "poly"] = Field("cosine", description="decay after the warm-up")
    warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up")
    poly_power: float = Field(0.9, gt=0, description="exponent of the poly schedule")
    schedule_lag: int = Field(0, ge=0, description="steps by which the decay comes late")
    schedule_by: Literal["step", "epoch"] = Field(
        "step", description="the decay changes at every step, or only at the beginning of epochs"
    )
    clip_norm: float | None = Field(None, gt=0, description="largest L2 norm of the gradient; none: not clipped")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="decay of the moving average of the weights, which is then validated and kept",
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="autocast type of forward and loss")
    seed: int = Field(0, ge=0, description="decides order, augmentation and dropout")
    workers: int = Field(0, ge=0, le=64, description="loader processes that prepare batches ahead")
    validate_every: int = Field(200, ge=1, description="steps between validations; the last step always validates")
    checkpoint_every: int = Field(200, ge=1, description="steps between checkpoints")
    keep: int = Field(2, ge=1, description="checkpoints kept")
    monitor: str | None = Field(
        None, description="validation metric that chooses the best; none: the first reported"
    )
    monitor_mode: Literal["max", "min"] = Field("max", description="whether more or less of it is better")
    patience: int | None = Field(None, ge=1, description="stop after this many validations without a new best")
    max_bad_steps: int = Field(
        10, ge=0, description="steps with a non-finite loss or gradient that may be skipped"
    )
    log_every: int = Field(10, ge=1, description="steps between records in metrics.jsonl")
    tensorboard: bool = Field(False, description="also write TensorBoard events (extra `tensorboard`)")
