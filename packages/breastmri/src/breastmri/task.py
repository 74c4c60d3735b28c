"""Batch -> losses: what the shared training loop needs to know about classifying breasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ._shared.errors import DataError
from ._shared.logs import get_logger
from ._shared.metrics.classification import auroc
from .config import HEAD_OF_LOSS, AugmentConfig, Config, LossConfig
from .layers import feasible_margin
from .losses import CenterLoss, Loss, make_loss, margin_ramp
from .model import BreastNet, seeded_net
from .preprocess import BreastInput
from .transforms import augment

log = get_logger(__name__)


class Objective(nn.Module):
    """The network with its loss, as one module: learnt parts of a loss are trained, saved and resumed with it.

    The margin ramps over the micro-batches seen, a buffer, so that a resumed run goes on with the same margin.
    """

    seen: Tensor

    def __init__(self, net: BreastNet, config: LossConfig, ramp_batches: int) -> None:
        super().__init__()
        self.net = net
        self.criterion: Loss = build_loss(config)
        self.center = CenterLoss(embedding_size(net)) if config.center_weight else None
        self.center_weight, self.ramp_batches = config.center_weight, ramp_batches
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Loss parts of volumes (B, C, D, H, W) and labels (B,)."""
        features = self.net.features(x)
        pooled = self.net.pool(features)
        factor = margin_ramp(self.seen, self.ramp_batches)
        main = self.criterion(self.net.head(pooled), labels, margin_factor=factor)
        if self.training:
            self.seen += 1
        if self.center is None:
            return {"loss": main}
        center = self.center(self.net.head.embedding(pooled), labels)
        return {"loss": main + self.center_weight * center, "main": main, "center": center}

    def logits(self, x: Tensor) -> Tensor:
        """Logits (B, T) of the inference probability, without margin."""
        return self.criterion.logits(self.net(x))


def embedding_size(net: BreastNet) -> int:
    """D of the embedding that a head works on."""
    return int(net.config["embed_dim"] or net.backbone.channels)


def build_loss(config: LossConfig) -> Loss:
    """The loss of a configuration; settings that do not belong to its kind are left out."""
    kind = config.kind
    if kind == "cmsl":
        return make_loss(
            kind,
            scale=config.scale,
            margin=config.margin,
            margin_neg=config.margin_neg,
            pos_weight=config.pos_weight,
        )
    if kind == "sphereface2":
        return make_loss(
            kind,
            scale=config.scale,
            margin_pos=config.margin,
            margin_neg=config.margin_neg,
            bias="learnable",
            pos_weight=config.pos_weight,
            power_t=config.power_t,
            pos_lambda=config.pos_lambda,
        )
    if kind in ("bce", "focal"):
        gamma = config.gamma if kind == "focal" else 0.0
        return make_loss(kind, gamma=gamma, pos_weight=config.pos_weight)
    return make_loss(kind, scale=config.scale, margin=config.margin)


def build_net(config: Config) -> BreastNet:
    """The network of a configuration, its initial weights decided by the seed alone.

    Warns where the margin cannot be met by a head on non-negative features.
    """
    head = HEAD_OF_LOSS[config.loss.kind]
    embed_dim = config.model.embed_dim or None
    margin = max(config.loss.margin, config.loss.margin_neg or 0)
    if head == "cosine" and embed_dim is None and margin > 0.6:
        log.warning(
            "margin %.2f on non-negative features: both classes reach at most %.3f together; set model.embed_dim",
            margin,
            feasible_margin(),
        )
    return seeded_net(
        config.train.seed,
        in_channels=config.data.preprocessing.num_channels,
        backbone=config.model.backbone,
        head=head,
        embed_dim=embed_dim,
        pooling=config.model.pooling,
        output_stride=config.model.output_stride,
    )


class BreastTask:
    """Labelled breasts in, a classification loss out.

    Args:
        model: network and loss.
        train: labelled breasts; a lazy sequence is fine.
        validation: labelled breasts of other patients.
        augmentation: of training breasts.
        saved: what travels with the weights.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Sequence[BreastInput],
        validation: Sequence[BreastInput],
        augmentation: AugmentConfig,
        saved: dict[str, Any],
    ) -> None:
        self.model = model
        self.train, self.validation = train, validation
        self.augmentation = augmentation
        self._saved = saved

    def train_size(self) -> int:
        """Number of training breasts."""
        return len(self.train)

    def batch(self, indices: Sequence[int], rngs: Sequence[np.random.Generator]) -> dict[str, Tensor]:
        """Channels (B, C, D, H, W) float32, augmented by each breast's generator, and labels (B,) int64."""
        breasts = [self.train[i] for i in indices]
        arrays = [augment(b.array, self.augmentation, rng) for b, rng in zip(breasts, rngs, strict=True)]
        labels = [require_label(b) for b in breasts]
        return {"image": torch.from_numpy(np.stack(arrays)), "label": torch.tensor(labels)}

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Forward and loss parts of one micro-batch."""
        parts: dict[str, Tensor] = self.model(batch["image"], batch["label"])
        return parts

    def validate(self, model: nn.Module) -> dict[str, float]:
        """AUC over the validation breasts; NaN where one class is absent, as in any small set."""
        if not len(self.validation):
            return {"auc": float("nan")}
        objective: Any = getattr(model, "module", model)  # a moving average wraps it
        device = next(model.parameters()).device
        scores, labels = [], []
        for breast in self.validation:
            score = objective.net(torch.from_numpy(breast.array[None]).to(device))
            scores.append(float(score[0, 0]))
            labels.append(require_label(breast))
        return {"auc": auroc(labels, scores)}

    def model_config(self) -> dict[str, Any]:
        """What must travel with the weights: architecture, loss, preprocessing."""
        return self._saved


def require_label(breast: BreastInput) -> int:
    """The label of a breast.

    Raises:
        DataError: it has none.
    """
    if breast.label is None:
        raise DataError("a breast without label cannot be learnt from or scored: leave unlabelled breasts out")
    return breast.label
