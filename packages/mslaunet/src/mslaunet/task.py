"""Batch -> losses: what the shared training loop needs to know about segmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ._shared.engine.distributed import sum_across_ranks
from .augmentations import Range
from .compat import NOISE_FOR_255, replayed, soft_iou
from .config import Config, LossConfig
from .data.slices import PreparedCases, SliceSplit
from .losses import DiceCELoss, identity
from .preprocess import Preprocessing
from .transforms import augment, stack_context, window


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
        plan: Preprocessing,
        model_config: Mapping[str, Any],
    ) -> None:
        self.model = model
        self.cases = cases.cases
        self.split = split
        self.config = config
        self.plan = plan
        self.limits = Range(tuple(plan.black), tuple(plan.white))
        self.augment = config.augment
        if config.compat.unscaled_noise:  # T4; the range has length 2 here, 1 there
            self.augment = config.augment.model_copy(update={"noise": 2 * NOISE_FOR_255})
        self._model_config = dict(model_config)
        self.criterion = _criterion(config.loss, sum_across_ranks)
        self.own_criterion = _criterion(config.loss, identity)  # rank 0 validates alone

    @property
    def classes(self) -> Mapping[str, str]:
        """Label id to name, as they travel with the weights."""
        return dict(self._model_config["classes"])

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
        if self.config.compat.replayed_draws is not None:
            rng = replayed(rng, self.config.compat.replayed_draws)
        image, mask = stack_context(case.image, z, self.plan.context_slices), case.mask[z]
        if self.config.augment.before_resize:
            return self._resized(*augment(*_tensors(image, mask), self.augment, rng, self.limits))
        pair = window(image, mask, self.config.data.side_px, rng, self.limits.low[0])
        return augment(*pair, self.augment, rng, self.limits)

    def _resized(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """An augmented native slice on the network's grid."""
        side = self.config.data.side_px
        planes = self.plan.resize_image(image.numpy()[:, None], (side, side))[:, 0]
        labels = self.plan.resize_mask(mask.numpy()[None], (side, side))[0]
        return torch.from_numpy(planes), torch.from_numpy(labels)

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Forward and loss parts of one micro-batch; with deep supervision "auxiliary" is the mean over levels."""
        outputs = self.model(batch["image"])
        main, *levels = outputs if isinstance(outputs, tuple) else (outputs,)
        parts = self.criterion(main, batch["mask"])
        if levels:
            auxiliary = torch.stack([self.criterion(level, batch["mask"])["loss"] for level in levels]).mean()
            parts |= {"loss": parts["loss"] + self.config.loss.auxiliary * auxiliary, "auxiliary": auxiliary}
        return parts

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Mean Dice of all held-out slices on the network's grid, pooled per case, mean over classes present.

        This guides early stopping; the metrics in native space come from `mslaunet evaluate`. "loss" is the training
        loss on the held-out slices, taken one by one.
        """
        if not self.split.validation:
            return {}
        dice, losses, overlaps = [], [], []
        for case in sorted({c for c, _ in self.split.validation}):
            confusion = np.zeros((1, 1), np.int64)
            for logits, target in self._held_out(model, case):
                losses.append(float(self.own_criterion(logits, target)["loss"]))
                if self.config.compat.soft_iou:
                    foreground = 1 - logits.float().softmax(1)[:, 0]
                    overlaps.append(soft_iou(foreground.cpu().numpy(), (target > 0).cpu().numpy()))
                confusion = confusion + confusion_matrix(logits, target)
            dice.append(class_dice(confusion))
        defined = [score for per_class in dice for score in per_class if not np.isnan(score)]
        metrics = {"dice": float(np.mean(defined)) if defined else float("nan"), "loss": float(np.mean(losses))}
        return metrics | ({"soft_iou": float(np.mean(overlaps))} if overlaps else {})

    def _held_out(self, model: nn.Module, index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits (1, K, H, W) and labels (1, H, W) of every held-out slice of a case."""
        case = self.cases[index]
        device = next(model.parameters()).device
        for z in (z for c, z in self.split.validation if c == index):
            planes, labels = stack_context(case.image, z, self.plan.context_slices), np.array(case.mask[z])
            image, mask = _tensors(planes, labels)
            if self.config.augment.before_resize:
                image, mask = self._resized(image, mask)
            yield model(image[None].to(device)), mask[None].to(device)

    def predict_case(self, model: nn.Module, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Predicted and reference labels (D, H, W) of all held-out slices of a case, on the network's grid."""
        answers = [(logits.argmax(1)[0], mask[0]) for logits, mask in self._held_out(model, index)]
        predicted, reference = (torch.stack(list(masks)).cpu().numpy() for masks in zip(*answers, strict=True))
        return predicted.astype(np.uint16), reference.astype(np.uint16)

    def model_config(self) -> dict[str, Any]:
        """What must travel with the weights: architecture, preprocessing, classes."""
        return self._model_config


def _criterion(config: LossConfig, reduce: Callable[[Tensor], Tensor]) -> DiceCELoss:
    return DiceCELoss(
        cross_entropy=config.cross_entropy,
        dice=config.dice,
        include_background=config.include_background,
        smooth=config.smooth,
        squared=config.squared,
        per_sample=config.per_sample,
        reduce=reduce,
    )


def confusion_matrix(logits: Tensor, target: Tensor) -> np.ndarray:
    """Pixel counts (K, K): rows are true classes, columns predicted ones."""
    classes = logits.shape[1]
    pairs = target * classes + logits.argmax(1)
    return torch.bincount(pairs.flatten(), minlength=classes**2).reshape(classes, classes).cpu().numpy()


def class_dice(confusion: np.ndarray) -> np.ndarray:
    """Dice (K-1,) of classes 1..K-1; NaN where the class is absent from the reference."""
    true_positive = np.diag(confusion)[1:]
    reference, predicted = confusion.sum(1)[1:], confusion.sum(0)[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(reference > 0, 2 * true_positive / (reference + predicted), np.nan)


def _tensors(image: np.ndarray, mask: np.ndarray) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(np.array(image, np.float32)), torch.from_numpy(mask.astype(np.int64))


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
