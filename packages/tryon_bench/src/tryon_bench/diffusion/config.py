"""Settings of training."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from .._shared.config import FrozenModel, completed
from .._shared.engine.config import TrainConfig

HintName = Literal["garment", "densepose", "pose", "warped", "agnostic"]

TINY = "tiny"

VAE = TrainConfig(max_steps=600, lr=3e-3, batch_size=4, weight_decay=0, clip_norm=1.0, validate_every=10**6)
JOINT = TrainConfig(
    max_steps=350,
    lr=3e-3,
    batch_size=8,
    weight_decay=0,
    clip_norm=1.0,
    validate_every=10**6,
    monitor_mode="min",
)
TRAIN = TrainConfig(
    lr=2e-5, batch_size=8, clip_norm=1.0, schedule="constant", warmup_steps=500, monitor_mode="min"
)


class FrameConfig(FrozenModel):
    """How photos become pictures of the size that the networks work at."""

    height_px: int = Field(512, ge=8, description="height that the networks work at")
    width_px: int = Field(384, ge=8, description="width that the networks work at")
    square: bool = Field(
        False,
        description="squeeze photos to this frame instead of padding them; with height = width as CAT-DM does",
    )
    mask_resample: Literal["nearest", "bilinear"] = Field(
        "nearest", description="how the keep mask comes to the size of the latents; Paint-by-Example: bilinear"
    )
    hints: tuple[HintName, ...] = Field(
        ("garment", "densepose"), min_length=1, description="what the ControlNet is shown, channel after channel"
    )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.height_px, self.width_px


class TinyBaseConfig(FrozenModel):
    """Training of the random tiny base, which can do nothing before it has seen the data."""

    vae: TrainConfig = VAE
    joint: TrainConfig = JOINT
    drop_hint: float = Field(
        0.15,
        ge=0,
        lt=1,
        description="share of samples of the joint stage that the base sees without the ControlNet",
    )

    @model_validator(mode="before")
    @classmethod
    def _stages_given_in_part(cls, values: Any) -> Any:
        return completed(values, {"vae": VAE, "joint": JOINT})


class DiffusionConfig(FrozenModel):
    """ControlNet-guided Paint-by-Example."""

    base: str = Field(
        TINY,
        description="folder of Paint-by-Example in diffusers' layout, owner/name on the Hugging Face hub, or `tiny`: "
        "random networks that are trained on the data set first",
    )
    split: str = Field("train", description="pairs to train on")
    frame: FrameConfig = FrameConfig()
    controlnet: str = Field("", description="ControlNet folder to start from; empty: a copy of the UNet's encoder")
    drop_exemplar: float = Field(
        0.2, ge=0, lt=1, description="share of samples that see the unconditional vector instead of the garment"
    )
    drop_hint: float = Field(0.05, ge=0, lt=1, description="share of samples whose hint is zero")
    mask_weight: float = Field(0.0, ge=0, description="loss weight 1 + mask_weight where the photo is repainted")
    train_mapping: bool = Field(False, description="train the encoder's mapper and projection too")
    lora_rank: int = Field(0, ge=0, le=256, description="rank of adapters on the base UNet's attention; 0: none")
    lora_alpha: float | None = Field(None, gt=0, description="scale of the adapters x rank; none: the rank")
    gradient_checkpointing: bool = Field(False, description="compute activations twice, to save memory")
    validation_pairs: int = Field(
        0, ge=0, description="pairs at the list's end that are held out; 0: the training pairs are measured"
    )
    tiny_base: TinyBaseConfig = TinyBaseConfig()
    train: TrainConfig = TRAIN

    @model_validator(mode="before")
    @classmethod
    def _training_given_in_part(cls, values: Any) -> Any:
        return completed(values, {"train": TRAIN})
