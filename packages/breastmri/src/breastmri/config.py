"""Settings of a training run. All defaults are ours: the paper's hyper-parameters are unknown (see PARITY.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ._shared.config import FrozenModel, completed
from ._shared.engine.config import TrainConfig
from .preprocess import Preprocessing

LossKind = Literal["cmsl", "sphereface2", "bce", "focal", "normface", "asoftmax", "cosface", "arcface"]
TRAIN = TrainConfig(lr=1e-3, clip_norm=1.0, warmup_steps=20, monitor="auc")
HEAD_OF_LOSS = {
    "cmsl": "cosine",
    "sphereface2": "cosine",
    "bce": "linear",
    "focal": "linear",
    "normface": "cosine-pair",
    "asoftmax": "cosine-pair",
    "cosface": "cosine-pair",
    "arcface": "cosine-pair",
}


class DataConfig(FrozenModel):
    """Where the data lie and how a breast becomes an array."""

    root: Path = Field(description="data set folder, or a folder with manifest.csv")
    layout: str = Field("auto", description="layout on disk; auto recognises it")
    preprocessing: Preprocessing = Preprocessing()
    validation_fraction: float = Field(
        0.2, gt=0, lt=1, description="part of the training patients kept for validation where no split is given"
    )
    max_excluded_fraction: float = Field(0.05, ge=0, le=1, description="unusable breasts tolerated, as a fraction")


class AugmentConfig(FrozenModel):
    """Random transforms of a training breast, drawn from a generator keyed by (seed, epoch, sample)."""

    flip: float = Field(0.5, ge=0, le=1, description="probability of a flip along each axis by itself")
    shift_voxels: tuple[int, int, int] = Field(
        (1, 4, 4), description="largest shift along slices, rows, columns; emptied voxels become 0"
    )
    gain: float = Field(0.1, ge=0, lt=1, description="contrast factor of all channels, uniform in 1 +- this")
    noise: float = Field(0.0, ge=0, description="standard deviation of Gaussian noise, in units of the channels")


class ModelConfig(FrozenModel):
    """Which network is built; its head follows from the loss."""

    backbone: Literal["tiny", "resnet3d18", "resnet3d34", "densenet3d121"] = "resnet3d18"
    pooling: Literal["avg", "gem", "lse", "topk", "attention"] = Field(
        "avg", description="avg is the paper's (inferred)"
    )
    embed_dim: int = Field(128, ge=0, description="signed linear embedding before the head; 0: none")
    output_stride: Literal[8, 16, 32] | None = Field(None, description="voxels per cell of the map; not for tiny")


class LossConfig(FrozenModel):
    """Which loss, of the cosine-margin family or of its rivals."""

    kind: LossKind = "cmsl"
    scale: float = Field(16.0, gt=0, description="s of the cosine losses")
    margin: float = Field(0.35, ge=0, description="m; radians for arcface, a whole number of times for asoftmax")
    margin_neg: float | None = Field(None, ge=0, lt=1, description="margin of negatives; none: as positives")
    ramp_fraction: float = Field(0.2, ge=0, le=1, description="part of the steps in which the margin grows from 0")
    pos_weight: float | None = Field(None, gt=0, description="weight of positives; not for the softmax losses")
    gamma: float = Field(2.0, ge=0, description="focusing exponent of focal")
    power_t: float = Field(3.0, ge=1, description="t of sphereface2")
    pos_lambda: float = Field(0.7, gt=0, lt=1, description="lambda of sphereface2")
    center_weight: float = Field(0.0, ge=0, description="weight of the center loss added to any kind")

    @model_validator(mode="after")
    def _margin_in_range(self) -> Self:
        if self.kind == "asoftmax":
            if self.margin < 1 or self.margin != int(self.margin):
                raise ValueError(f"asoftmax multiplies angles: margin must be 1, 2, ..., got {self.margin}")
        elif self.margin >= 1:
            raise ValueError(f"margin must be below 1, got {self.margin}")
        if self.pos_weight is not None and HEAD_OF_LOSS[self.kind] == "cosine-pair":
            raise ValueError(f"pos_weight is not for the softmax loss {self.kind}")
        return self


class Config(FrozenModel):
    """Everything that decides a training run."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    train: TrainConfig = TRAIN

    @model_validator(mode="before")
    @classmethod
    def _training_given_in_part(cls, values: Any) -> Any:
        return completed(values, {"train": TRAIN})
