"""Settings of a pretraining run. Defaults are ours; the paper's own text was not available (see PARITY.md)."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ._shared.config import FrozenModel, completed
from ._shared.engine.config import TrainConfig
from .data.config import DataConfig

# Suggested defaults of the specification: AdamW, cosine with 5 % warm-up, clipped gradients. A learning rate of 1e-4 is
# for training all weights at once; lower it to 2e-5 with a pretrained text tower.
STAGE1 = TrainConfig(
    epochs=10, batch_size=64, lr=1e-4, weight_decay=0.05, warmup_steps=200, clip_norm=1.0, monitor="recall_at_10"
)
STAGE2 = TrainConfig(**STAGE1.model_dump(exclude_unset=True) | {"epochs": 20})

Method = Literal["cmcgns", "convirt", "gloria", "mgca"]
FalseNegatives = Literal["keep", "exclude", "downweight", "bml", "soft-positive"]
Variant = Literal["paper", "official"]
AssignSpace = Literal["text", "cross", "mean"]
HardNegatives = Literal["centre", "sentence", "none"]


class ImageConfig(FrozenModel):
    """The image tower."""

    backbone: str = Field(
        "vit_base_patch16_224", description="any timm name, or tiny-vit, tiny-resnet, tiny-convmixer for CPUs"
    )
    side_px: int = Field(224, ge=32, description="side of the square input, pixels")
    patch_stage: int | None = Field(
        None,
        ge=0,
        description="number of the backbone's stage that gives the patches (3 is layer3 of a ResNet, which GLoRIA and "
        "MGCA take); none: the last",
    )
    pretrained: bool = Field(False, description="load timm's ImageNet weights (needs the hub or its cache)")


class TextConfig(FrozenModel):
    """The text tower."""

    backbone: str = Field(
        "emilyalsentzer/Bio_ClinicalBERT",
        description="a BERT-like model by hub name or folder; minilm for the one among the assets; tiny for CPUs",
    )
    pretrained: bool = Field(True, description="start from its weights; false: its configuration, random weights")
    max_tokens: int = Field(256, ge=8, le=4096, description="tokens of a report; what follows is cut off")
    dropout: float | None = Field(None, ge=0, lt=1, description="rate of its layers; none: the model's own")
    frozen: bool = Field(False, description="train only what comes after the text tower")
    splitter: Literal["sentences", "official"] = Field(
        "sentences", description="sentences keeps decimals and lists whole; official cuts at every full stop"
    )


class ModelConfig(FrozenModel):
    """Two towers and the common space."""

    image: ImageConfig = ImageConfig()
    text: TextConfig = TextConfig()
    dim: int = Field(512, ge=8, description="width D of the common space")
    attention: Literal["softmax", "sigmoid"] = Field("softmax", description="weights of cross-modal attention")
    temperature: float = Field(0.07, gt=0.01, le=1, description="initial value of every learnable temperature")


class ClusterConfig(FrozenModel):
    """Spherical online k-means of the sentences."""

    k: int = Field(
        128, ge=2, description="clusters; fewer at the start if the queue holds less than two points each"
    )
    queue: int = Field(4096, ge=8, description="recent sentences kept for seeding and for revival")
    start: Literal["step", "cosine"] = Field(
        "step", description="begin after start_step, or once the mean cosine of pairs is below start_cosine too"
    )
    start_step: int = Field(100, ge=0, description="training steps before clusters are used")
    start_cosine: float = Field(0.4, gt=-1, lt=1, description="largest mean cosine of the batch to start at")
    burn_in: int = Field(10, ge=0, description="Lloyd iterations after seeding")
    memory: float = Field(1000.0, ge=1, description="largest count of a centre: how slowly centres follow")
    revive_after: int = Field(20, ge=1, description="steps without a member after which a centre is placed anew")
    points: Literal["cross", "text"] = Field(
        "cross",
        description="what is clustered: image-conditioned sentences (the paper), or the sentences themselves",
    )
    reseed_every: int | None = Field(None, ge=1, description="steps between seedings from the queue; none: once")


class LossConfig(FrozenModel):
    """Weights and forms of the losses."""

    method: Method = Field("cmcgns", description="whose losses")
    global_weight: float = Field(1.0, ge=0, description="weight of the image-report contrast")
    patch_weight: float = Field(1.0, ge=0, description="weight of the SimSiam loss of patches")
    report_weight: float = Field(1.0, ge=0, description="weight of the sentence contrast")
    image_weight: float = Field(
        0.0,
        ge=0,
        description="weight of the contrast between what a sentence sees in its own image and in the others; gives "
        "heat maps that point, costs memory and time quadratic in the batch (not part of CM-CGNS; method cmcgns)",
    )
    reconstruction_weight: float = Field(1.0, ge=0, description="weight of CM-MIR in stage II")
    variant: Variant = Field("paper", description="additive log-weights, or the official multiplied cosines")
    symmetric: bool = Field(True, description="contrast sentences in both directions")
    hard_weight: float = Field(3.0, gt=0, description="weight mu of an anchor's own hard negative")
    hard_negatives: HardNegatives = Field(
        "centre", description="the second nearest centre, a real sentence of its cluster, or none"
    )
    false_negatives: FalseNegatives = Field("exclude", description="what becomes of sentences of the same cluster")
    false_negative_weight: float = Field(
        0.1, gt=0, lt=1, description="their weight (downweight) or share of the target (soft-positive)"
    )
    bml_weight: float = Field(0.0, ge=0, description="weight of the bidirectional margin over false negatives")
    assign_space: AssignSpace = Field(
        "text", description="whose nearest centre counts: sentence, cross-modal, mean"
    )
    cluster_guided: bool = Field(True, description="false: plain contrast of sentences, no clusters")

    @model_validator(mode="after")
    def _official_is_one_thing(self) -> Self:
        if self.variant == "official" and self.false_negatives not in ("keep", "bml"):
            raise ValueError(
                f"variant official knows false_negatives keep and bml, got {self.false_negatives!r}; choose one"
            )
        return self

    @model_validator(mode="after")
    def _belongs_to_the_method(self) -> Self:
        if self.image_weight > 0 and self.method != "cmcgns":
            raise ValueError(f"image_weight belongs to method cmcgns, got {self.method!r}; set image_weight=0")
        return self


class ReconstructionConfig(FrozenModel):
    """CM-MIR, stage II."""

    mask_ratio: float = Field(0.5, gt=0, lt=1, description="fraction of the patches that are hidden")
    depth: int = Field(2, ge=1, le=12, description="decoder layers, each with weights of its own")
    heads: int = Field(8, ge=1, description="attention heads; must divide model.dim")
    target: Literal["pixels", "normalised"] = Field(
        "pixels", description="grey values in [-1, 1], or every patch with mean 0 and deviation 1"
    )
    loss_on: Literal["masked", "all"] = Field("masked", description="patches that count")
    report: Literal["sentences", "conditioned", "none"] = Field(
        "sentences", description="what the decoder attends to: sentences, report-conditioned patches, nothing"
    )


class Config(FrozenModel):
    """Everything that decides a run of both stages."""

    data: DataConfig | None = Field(None, description="what is trained on; none: pairs given from Python")
    validation_pairs: int = Field(512, ge=2, description="held-out pairs that are scored at every validation")
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    clusters: ClusterConfig = ClusterConfig()
    reconstruction: ReconstructionConfig = ReconstructionConfig()
    chunk: int | None = Field(
        None, ge=1, description="samples encoded at a time (gradient caching); none: the whole batch at once"
    )
    stages: Literal[1, 2] = Field(2, description="1: alignment only; 2: CM-MIR after it (method cmcgns only)")
    stage1: TrainConfig = STAGE1
    stage2: TrainConfig = STAGE2

    @model_validator(mode="before")
    @classmethod
    def _stages_given_in_part(cls, values: Any) -> Any:
        return completed(values, {"stage1": STAGE1, "stage2": STAGE2})

    @model_validator(mode="before")
    @classmethod
    def _one_side(cls, values: Any) -> Any:
        """The films' side is the image tower's, so that it is given once."""
        if isinstance(values, dict) and isinstance(values.get("data"), dict):
            image = values.get("model", {}).get("image", {}) if isinstance(values.get("model", {}), dict) else {}
            side = image.get("side_px", 224) if isinstance(image, dict) else 224
            return {**values, "data": {"side_px": side, **values["data"]}}
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.data is not None and self.data.side_px != self.model.image.side_px:
            raise ValueError(
                f"data.side_px {self.data.side_px} must equal model.image.side_px {self.model.image.side_px}"
            )
        if self.stages == 2 and self.loss.method != "cmcgns":
            raise ValueError(f"stage II belongs to method cmcgns, got {self.loss.method!r}; set stages=1")
        if self.stages == 2 and self.model.dim % self.reconstruction.heads:
            raise ValueError(
                f"reconstruction.heads {self.reconstruction.heads} must divide model.dim {self.model.dim}"
            )
        return self
