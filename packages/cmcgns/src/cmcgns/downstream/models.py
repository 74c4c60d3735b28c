"""Tower and head of a job, in one module with one way to be trained and one to be asked."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..towers import ImageTower
from .backbone import FeatureMaps
from .config import FinetuneConfig, HeadConfig
from .decoders import SETRDecoder, UNetDecoder
from .fcos import FCOSDetector
from .losses import classification_loss, segmentation_loss
from .yolo import YOLODetector

Batch = dict[str, Tensor]


class Classifier(nn.Module):
    """Linear layer on the tower's global vector."""

    def __init__(self, tower: ImageTower, classes: int, *, frozen: bool) -> None:
        super().__init__()
        self.tower, self.frozen = tower, frozen
        self.tower.requires_grad_(not frozen)
        self.head = nn.Linear(tower.width, classes)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch with "image" (B, 1, S, S) and "labels" (B, K)."""
        return classification_loss(self.logits(batch["image"]), batch["labels"])

    def logits(self, images: Tensor) -> Tensor:
        """(B, K)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            whole = self.tower(images)[0]
        return self.head(whole)

    def train(self, mode: bool = True) -> Classifier:
        """A frozen tower stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.tower.eval()
        return self


class Segmenter(nn.Module):
    """A decoder with the protocol's loss."""

    def __init__(self, decoder: nn.Module, focal_weight: float) -> None:
        super().__init__()
        self.decoder, self.focal_weight = decoder, focal_weight

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch with "image" (B, 1, S, S) and "mask" (B, 1, S, S)."""
        return segmentation_loss(self.decoder(batch["image"]), batch["mask"], self.focal_weight)

    def logits(self, images: Tensor) -> Tensor:
        """(B, 1, S, S)."""
        logits: Tensor = self.decoder(images)
        return logits


class Detector(nn.Module):
    """A detector that takes padded boxes."""

    def __init__(self, detector: FCOSDetector | YOLODetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a batch with "image", "boxes" (B, M, 4) in pixels, "kinds" (B, M), -1 where there is no box."""
        targets = []
        for boxes, kinds in zip(batch["boxes"], batch["kinds"], strict=True):
            real = kinds >= 0
            targets.append({"boxes": boxes[real], "labels": kinds[real]})
        return self.detector.losses(batch["image"], targets)

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Per image "boxes" (n, 4) in pixels, "scores" (n,) and "labels" (n,)."""
        return self.detector.detect(images)


Model = Classifier | Segmenter | Detector


def build_downstream(tower: ImageTower, config: FinetuneConfig, classes: int) -> Model:
    """The module of a job, head weights from torch's generator.

    Args:
        tower: the image tower; it becomes part of the module.
        config: job and head.
        classes: findings.
    """
    if config.job == "classification":
        return Classifier(tower, classes, frozen=config.frozen)
    maps = FeatureMaps(tower, frozen=config.frozen)
    head: HeadConfig = config.head
    if config.job == "segmentation":
        decoder: nn.Module = (
            UNetDecoder(maps, head.width) if config.head_kind == "unet" else SETRDecoder(maps, head.width)
        )
        return Segmenter(decoder, head.focal_weight)
    detector: Any = FCOSDetector if config.head_kind == "fcos" else YOLODetector
    return Detector(detector(maps, classes, head))
