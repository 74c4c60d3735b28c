"""Batch -> losses: what the shared training loop needs to know about segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ._shared.engine.distributed import sum_across_ranks
from .config import Config
from .data.slices import PreparedCases, SliceSplit
from .losses import DiceCELoss
from .preprocess import Preprocessing
from .transforms import augment, window


class SegmentationTask:
    """Slices in, cross-entropy and soft Dice out.

    Batch-level Dice sums are added over all ranks, so that the loss of a global batch does not depend on how it is
    spread over processes.
    """

    def __init__(
        self,
        model: nn.Module,
        cases: PreparedCases,
        split: SliceSplit,
        config: Config,
        model_config: Mapping[str, Any],
    ) -> None:
        self.model = model
        self.cases = cases.cases
        self.split = split
        self.config = config
        self._model_config = dict(model_config)
        self.criterion = DiceCELoss(
            cross_entropy=config.loss.cross_entropy,
            dice=config.loss.dice,
            include_background=config.loss.include_background,
            reduce=sum_across_ranks,
        )

    def train_size(self) -> int:
        """Number of training slices."""
        return len(self.split.train)

    def batch(self, indices: Sequence[int], rngs: Sequence[np.random.Generator]) -> dict[str, Tensor]:
        """Image (B, C, S, S) float32 in [-1, 1] and mask (B, S, S) int64, augmented by each sample's generator."""
        samples = [self._sample(self.split.train[i], rng) for i, rng in zip(indices, rngs, strict=True)]
        images, masks = zip(*samples, strict=True)
        return {"image": torch.stack(images), "mask": torch.stack(masks)}

    def _sample(self, place: tuple[int, int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        case, z = self.cases[place[0]], place[1]
        image, mask = window(case.image[:, z], case.mask[z], self.config.data.side_px, rng)
        return augment(image, mask, self.config.augment, rng)

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Forward and loss parts of one micro-batch."""
        return self.criterion(self.model(batch["image"]), batch["mask"])

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean Dice of the held-out slices on the network's grid, pooled per case, mean over classes present.

        This guides early stopping; the metrics in native space come from `mslaunet evaluate`.
        """
        scores = [self._case_dice(model, case) for case in sorted({c for c, _ in self.split.validation})]
        defined = [score for per_class in scores for score in per_class if not np.isnan(score)]
        return {"dice": float(np.mean(defined)) if defined else float("nan")}

    def _case_dice(self, model: nn.Module, index: int) -> np.ndarray:
        """Dice (K-1,) of classes 1..K-1 over the held-out slices of one case; NaN where a class is absent."""
        case = self.cases[index]
        device = next(model.parameters()).device
        confusion: np.ndarray | None = None
        for z in (z for c, z in self.split.validation if c == index):
            image = torch.from_numpy(np.array(case.image[None, :, z])).to(device)
            logits = model(image)
            predicted = logits.argmax(1)[0].cpu().numpy()
            k = logits.shape[1]
            pairs = case.mask[z].astype(np.int64).ravel() * k + predicted.ravel()
            counts = np.bincount(pairs, minlength=k * k).reshape(k, k)
            confusion = counts if confusion is None else confusion + counts
        if confusion is None:
            return np.empty(0)
        true_positive = np.diag(confusion)[1:]
        reference, predicted_sum = confusion.sum(1)[1:], confusion.sum(0)[1:]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(reference > 0, 2 * true_positive / (reference + predicted_sum), np.nan)

    def model_config(self) -> dict[str, Any]:
        """What must travel with the weights: architecture, preprocessing, classes."""
        return self._model_config


def saved_config(
    model: Mapping[str, Any],
    plan: Preprocessing,
    classes: Mapping[int, str],
    mask_values: Mapping[int, int] | None,
) -> dict[str, Any]:
    """The JSON that is stored beside the weights."""
    return {
        "package": "mslaunet",
        "format": 1,
        "model": dict(model),
        "preprocessing": plan.model_dump(),
        "classes": {str(k): v for k, v in classes.items()},
        "mask_values": {str(k): v for k, v in (mask_values or {}).items()},
    }
