"""Settings of the learned warp."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from .._shared.config import FrozenModel, completed
from .._shared.engine.config import TrainConfig

TRAIN = TrainConfig(monitor_mode="min")


class WarpNetConfig(FrozenModel):
    """The network."""

    side_px: int = Field(64, ge=32, le=512, multiple_of=8, description="side of both crops, px")
    width: int = Field(16, ge=4, le=256, multiple_of=4, description="channels of the first stage; doubled twice")


class WarpLossConfig(FrozenModel):
    """Weights of the loss's parts."""

    mask: float = Field(2.0, ge=0, description="L1 of the warped garment's mask and the target")
    smoothness: float = Field(0.01, ge=0, description="second differences of the control points")


class WarpConfig(FrozenModel):
    """A training run."""

    split: str = Field("train", description="split of the data set to train on")
    held_out: int = Field(64, ge=1, description="last pairs of the list, which choose the best weights")
    flip: bool = Field(True, description="mirror half of the samples")
    model: WarpNetConfig = WarpNetConfig()
    loss: WarpLossConfig = WarpLossConfig()
    train: TrainConfig = TRAIN

    @model_validator(mode="before")
    @classmethod
    def _training_given_in_part(cls, values: Any) -> Any:
        return completed(values, {"train": TRAIN})
