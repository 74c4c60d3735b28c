"""Settings of a training run. Defaults are ours; the paper's own hyper-parameter text is unknown (see PARITY.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from ._shared.config import FrozenModel
from ._shared.engine.config import TrainConfig
from .data.dataset import Layout

Variant = Literal["tiny", "small", "base"]
Preset = Literal["official", "corrected", "raster-min"]


class DataConfig(FrozenModel):
    """Where the data lie and how slices are brought to the network's grid."""

    root: Path = Field(description="data set folder: nnU-Net raw, or images/ and masks/")
    layout: Layout = Field("auto", description="layout on disk; auto recognises it")
    classes: dict[int, str] | None = Field(None, description="label id to name, for plain folders")
    pixel_mm: float | None = Field(
        None, gt=0, description="in-plane pixel size of the network's grid, mm; none: native"
    )
    side_px: int = Field(224, ge=32, multiple_of=32, description="side of the training window, pixels")
    intensity: Literal["auto", "window", "zscore", "unit"] = Field(
        "auto", description="auto: window for CT, unit for 2-D images, zscore otherwise"
    )
    window_low: float = Field(-125.0, description="lower end of the intensity window, HU")
    window_high: float = Field(275.0, description="upper end of the intensity window, HU")
    split: Literal["auto", "cases", "slices"] = Field(
        "auto",
        description="validation by whole cases (all of a patient on one side), or by blocks of slices where there are "
        "fewer than five patients",
    )
    validation_fraction: float = Field(
        0.2, gt=0, lt=1, description="part of the training patients (or slices) kept for validation"
    )
    block_slices: int = Field(8, ge=2, description="length of a held-out block of slices when split is slices")
    max_excluded_fraction: float = Field(0.05, ge=0, le=1, description="unreadable cases tolerated, as a fraction")

    @model_validator(mode="after")
    def _ordered_window(self) -> Self:
        if self.window_low >= self.window_high:
            raise ValueError(f"window_low {self.window_low} must be below window_high {self.window_high}")
        return self

    @model_validator(mode="after")
    def _numbered_classes(self) -> Self:
        if self.classes is not None and (ids := sorted(self.classes)) != list(range(max(2, len(ids)))):
            raise ValueError(f"classes must be numbered 0 (background), 1, 2, ... without gaps, got {ids}")
        return self


class AugmentConfig(FrozenModel):
    """Random transforms of a training sample, drawn from a generator keyed by (seed, epoch, sample)."""

    rotate_degrees: float = Field(15.0, ge=0, le=180, description="rotation, uniform in +- this")
    scale: float = Field(0.2, ge=0, lt=1, description="zoom factor, uniform in 1 +- this")
    translate: float = Field(0.1, ge=0, lt=1, description="shift, uniform in +- this fraction of the side")
    flip: Literal["none", "horizontal", "vertical", "both"] = Field(
        "none", description="random flips; none by default, because paired organs have a side"
    )
    gain: float = Field(0.1, ge=0, lt=1, description="contrast factor, uniform in 1 +- this")
    noise: float = Field(
        0.02, ge=0, description="standard deviation of Gaussian noise, in units of the [-1, 1] range"
    )


class ModelConfig(FrozenModel):
    """Which network is built."""

    variant: Variant = Field("small", description="base is the published size; tiny and small are for CPUs")
    preset: Preset = Field("corrected", description="token layout, head merge, softmax axes, aggregation")
    drop_path: float = Field(0.0, ge=0, lt=1, description="stochastic depth rate of the last block")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate inside the feed-forward layers")


class LossConfig(FrozenModel):
    """Cross-entropy plus soft Dice."""

    cross_entropy: float = Field(0.4, ge=0, description="weight of the cross-entropy")
    dice: float = Field(0.6, ge=0, description="weight of the soft Dice loss")
    include_background: bool = Field(False, description="count class 0 in the Dice loss (the official code does)")

    @model_validator(mode="after")
    def _some_loss(self) -> Self:
        if self.cross_entropy == self.dice == 0:
            raise ValueError("cross_entropy and dice are both 0, so there is nothing to learn; give one a weight")
        return self


class Config(FrozenModel):
    """Everything that decides a training run."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()
