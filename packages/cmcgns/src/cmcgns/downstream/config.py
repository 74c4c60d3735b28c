"""Settings of a fine-tuning run."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from .._shared.config import FrozenModel, completed
from .._shared.engine.config import TrainConfig
from ..data.config import DataConfig

Job = Literal["classification", "detection", "segmentation"]
Head = Literal["linear", "fcos", "yolo", "unet", "setr"]

HEADS: dict[Job, tuple[Head, ...]] = {
    "classification": ("linear",),
    "detection": ("fcos", "yolo"),
    "segmentation": ("unet", "setr"),
}

TRAIN = TrainConfig(epochs=50, batch_size=16, lr=5e-4, weight_decay=0.05, patience=10)


class HeadConfig(FrozenModel):
    """What is put on the image tower."""

    kind: Head | None = Field(
        None, description="linear; fcos (torchvision) or yolo; unet or setr; none: the first of the job"
    )
    width: int = Field(64, ge=8, description="channels of the pyramid and of the decoders' last stage")
    score_cut: float = Field(0.01, ge=0, lt=1, description="boxes below are not returned (0.5 in the protocol)")
    nms_iou: float = Field(0.5, gt=0, le=1, description="overlap above which the weaker of two boxes goes")
    max_boxes: int = Field(100, ge=1, description="boxes returned per film")
    focal_weight: float = Field(10.0, ge=0, description="weight of the focal loss beside -log soft Dice")


class FinetuneConfig(FrozenModel):
    """Everything that decides a fine-tuning run, but the pretrained weights."""

    data: DataConfig
    job: Job = Field(description="what is learned")
    labels: tuple[str, ...] = Field((), description="findings; none: all of the data set")
    head: HeadConfig = HeadConfig()
    frozen: bool = Field(True, description="keep the image tower as it is, norm statistics included")
    fraction: float = Field(1.0, gt=0, le=1, description="share of the training films that is used")
    fraction_seed: int = Field(0, ge=0, description="of the draw; 1 % is part of 10 %")
    negatives: Literal["all", "balanced"] = Field(
        "all", description="films without finding in segmentation: all, or as many as with one (the protocol)"
    )
    empty: Literal["undefined", "one"] = Field(
        "undefined", description="Dice of films without finding: left out and counted, or the official rule"
    )
    train: TrainConfig = TRAIN

    @model_validator(mode="before")
    @classmethod
    def _training_given_in_part(cls, values: Any) -> Any:
        return completed(values, {"train": TRAIN})

    @model_validator(mode="after")
    def _head_fits(self) -> Self:
        if self.head.kind is not None and self.head.kind not in HEADS[self.job]:
            raise ValueError(
                f"head.kind {self.head.kind!r} is not for {self.job}; choose {', '.join(HEADS[self.job])}"
            )
        if self.head_kind == "fcos" and self.head.width % 32:
            raise ValueError(
                f"head.width {self.head.width} must be a multiple of 32 for fcos (its norms have 32 groups)"
            )
        return self

    @property
    def head_kind(self) -> Head:
        """The head that is built."""
        return self.head.kind or HEADS[self.job][0]
