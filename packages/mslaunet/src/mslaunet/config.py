"""Settings of a training run. Defaults are ours; the paper's own hyper-parameter text is unknown (see PARITY.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from ._shared.config import FrozenModel
from ._shared.engine.config import TrainConfig
from .data.dataset import Layout
from .data.labels import LabelMapName

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
    resize_px: int | None = Field(
        None, ge=32, description="side that every slice is resized to, whatever its shape; instead of pixel_mm"
    )
    context_slices: int = Field(
        0, ge=0, le=4, description="neighbours on either side that join a slice as channels (2.5-D)"
    )
    intensity: Literal["auto", "window", "zscore", "unit", "imagenet"] = Field(
        "auto",
        description="auto: window for CT, unit for 2-D images, zscore otherwise; imagenet: mean and sd of ImageNet for "
        "RGB images, auto for others",
    )
    window_low: float = Field(-125.0, description="lower end of the intensity window, HU")
    window_high: float = Field(275.0, description="upper end of the intensity window, HU")
    label_map: LabelMapName | None = Field(
        None, description="which numbers mean which organs in Synapse and BTCV files; none: the layout's usual map"
    )
    split: Literal["auto", "cases", "slices", "none", "file"] = Field(
        "auto",
        description="file: the folds that the data set brings (splits_final.json), which auto takes where there "
        "are any; validation by whole cases (all of a patient on one side), or by blocks of slices where "
        "there are fewer than five patients; none: no validation at all",
    )
    folds: int | None = Field(
        None, ge=2, description="cross-validation: number of parts that the patients are cut into"
    )
    fold: int = Field(0, ge=0, description="cross-validation: the part that is kept for validation, from 0")
    split_seed: int | None = Field(
        None,
        ge=0,
        description="decides which patients validate; none: train.seed (several seeds need a fixed one)",
    )
    group: Literal["patient", "case"] = Field(
        "patient", description="what stays on one side of the split; case ignores patients and sequences (T9, T10)"
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

    @model_validator(mode="after")
    def _one_grid(self) -> Self:
        if self.resize_px is not None and self.pixel_mm is not None:
            raise ValueError("resize_px and pixel_mm both set the network's grid; give one")
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} must be below folds {self.folds}; folds count from 0")
        return self


class AugmentConfig(FrozenModel):
    """Random transforms of a training sample, drawn from a generator keyed by (seed, epoch, sample).

    The other fields belong to the kind "sound"; the other kinds are fixed sets of transforms, see `augmentations`.
    """

    kind: Literal["sound", "synapse", "clinicdb", "transunet", "none"] = Field(
        "sound", description="sound: the fields below; synapse and clinicdb: the official sets; transunet: its own"
    )
    before_resize: bool = Field(
        False,
        description="augment slices at their native size, then resize to data.resize_px, as the official code",
    )
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
    token_layout: Literal["raster", "legacy"] | None = Field(None, description="overrides the preset")
    head_merge: Literal["concat", "legacy"] | None = Field(None, description="overrides the preset")
    softmax: Literal["efficient", "swapped"] | None = Field(None, description="overrides the preset")
    aggregation: Literal["topdown", "official"] | None = Field(None, description="overrides the preset")
    kernel_sizes: tuple[int, ...] = Field((3, 5, 7, 9), description="depthwise kernels of MSLA, odd and distinct")
    share_scales: bool = Field(True, description="one linear attention for the scales of an MSLA, or one for each")
    activation: Literal["relu", "gelu", "silu"] = Field("relu", description="in MSLA and in the decoder")
    pretrained: Path | None = Field(
        None, description="weights that the encoder starts from: official, UniFormer, or of the timm backbone"
    )
    align_corners: bool = Field(
        True, description="convention of all bilinear resizing; official weights need true"
    )
    deep_supervision: bool = Field(
        False, description="auxiliary logits on the four decoder levels, in training only; see loss.auxiliary"
    )
    encoder: str | None = Field(
        None,
        description="a timm features_only backbone with strides 4, 8, 16, 32 instead of the network's own encoder",
    )


class LossConfig(FrozenModel):
    """Cross-entropy plus soft Dice."""

    cross_entropy: float = Field(0.4, ge=0, description="weight of the cross-entropy")
    dice: float = Field(0.6, ge=0, description="weight of the soft Dice loss")
    include_background: bool = Field(False, description="count class 0 in the Dice loss (the official code does)")
    smooth: float = Field(1e-5, gt=0, description="added above and below in the Dice")
    squared: bool = Field(False, description="squares in the denominator of the Dice (the official Synapse code)")
    per_sample: bool = Field(False, description="Dice of every sample, then the mean, instead of one per batch")
    auxiliary: float = Field(
        0.4, ge=0, description="weight of the mean loss of the auxiliary logits, with model.deep_supervision"
    )

    @model_validator(mode="after")
    def _some_loss(self) -> Self:
        if self.cross_entropy == self.dice == 0:
            raise ValueError("cross_entropy and dice are both 0, so there is nothing to learn; give one a weight")
        return self


class CompatConfig(FrozenModel):
    """Defects of the official code, each behind its own switch; the numbers are the rows of PARITY.md."""

    best_is_last: bool = Field(False, description="T1: save the last weights under the name of the best")
    replayed_draws: int | None = Field(
        None, ge=1, description="T3: only so many different augmentations in the whole training"
    )
    unscaled_noise: bool = Field(False, description="T4: noise of standard deviation 1.275 on the [0, 1] range")
    zoom_edge: bool = Field(False, description="T5: resize by scipy.ndimage.zoom, which blackens the last row")
    argmax_before_resize: bool = Field(
        False, description="T8: label maps, not probabilities, are brought to the native size"
    )
    soft_iou: bool = Field(False, description="T12: also validate the soft IoU of batches, without a threshold")
    batch_scaled_lr: bool = Field(False, description="T13: lr x batch / 24 where 5 divides the batch")


class Config(FrozenModel):
    """Everything that decides a training run."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()
    compat: CompatConfig = CompatConfig()
    postprocess: Literal["auto", "none"] = Field(
        "auto",
        description="auto: choose the clean-up of masks on whole validation cases, and record it with the run",
    )

    @model_validator(mode="after")
    def _resizes_once(self) -> Self:
        if self.augment.before_resize and self.data.resize_px is None:
            raise ValueError("augment.before_resize needs data.resize_px, the size that slices have after it")
        if self.augment.before_resize and self.data.resize_px != self.data.side_px:
            raise ValueError(
                f"augment.before_resize makes slices of data.resize_px {self.data.resize_px}, so data.side_px must "
                f"be the same, got {self.data.side_px}"
            )
        return self
