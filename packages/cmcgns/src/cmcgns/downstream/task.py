"""What the shared loop needs to know about fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import affine

from ..data.pairs import ABSENT, PRESENT, Pair, PairDataset
from ..data.pixels import read_pair_mask, read_pixels
from ..transforms import Frame, boxes_in_frame, film_tensor, mask_tensor
from .config import FinetuneConfig
from .models import Batch, Model
from .scores import score_side

METRIC = {"classification": "auroc", "detection": "map", "segmentation": "dice"}
ROTATE_DEGREES, ZOOM = 10.0, 0.1  # of the protocol's segmentation training, half of the films


class FinetuneTask:
    """Films with labels, boxes or masks in, the losses of a job out."""

    model: nn.Module

    def __init__(
        self,
        model: Model,
        train: Sequence[Pair],
        validation: Sequence[Pair],
        config: FinetuneConfig,
        names: Sequence[str],
        stored: dict[str, Any],
    ) -> None:
        self.model, self.train, self.validation = model, train, validation
        self.config, self.names, self._stored = config, tuple(names), stored

    def train_size(self) -> int:
        """Number of training films."""
        return len(self.train)

    def batch(self, indices: Sequence[int], rngs: Sequence[np.random.Generator]) -> Batch:
        """Image (B, 1, S, S), and labels (B, K), boxes (B, M, 4) with kinds (B, M), or masks (B, 1, S, S)."""
        return self.collate([self.train[int(i)] for i in indices], list(rngs))

    def collate(self, pairs: Sequence[Pair], rngs: Sequence[np.random.Generator | None]) -> Batch:
        """Samples -> tensors; without generator the crop is central and nothing is turned."""
        samples = [self._sample(pair, rng) for pair, rng in zip(pairs, rngs, strict=True)]
        batch = {"image": torch.stack([image for image, _, _ in samples])}
        if self.config.job == "classification":
            rows = [[pair.labels.get(n, nan) for n in self.names] for pair in pairs]
            labels = torch.tensor(rows)
            batch["labels"] = labels.masked_fill((labels != PRESENT) & (labels != ABSENT), nan)
        elif self.config.job == "segmentation":
            batch["mask"] = torch.stack([mask for _, _, mask in samples])
        else:
            batch["boxes"], batch["kinds"] = self._boxes(pairs, [frame for _, frame, _ in samples])
        return batch

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Loss and its parts."""
        parts: dict[str, Tensor] = self.model(batch)
        return parts

    def validate(self, model: nn.Module) -> dict[str, float]:
        """The job's metric on the validation side."""
        score = score_side(model, self, self.validation)  # type: ignore[arg-type]  # the loop hands the module back
        return {METRIC[self.config.job]: score["value"]}

    def model_config(self) -> dict[str, Any]:
        """What rebuilds the module."""
        return self._stored

    def _sample(self, pair: Pair, rng: np.random.Generator | None) -> tuple[Tensor, Frame, Tensor]:
        job = self.config.job
        crop = rng if job == "classification" else None  # detection and segmentation see the whole film's centre
        image, frame = film_tensor(read_pixels(pair.image), side_px=self.config.data.side_px, channels=1, rng=crop)
        mask = torch.zeros_like(image)
        if job == "segmentation":
            drawn = read_pair_mask(pair)
            if drawn is not None:
                mask = mask_tensor(drawn, frame)[None]
            if rng is not None and rng.random() < 0.5:
                image, mask = _turn(image, mask, rng)
        return image, frame, mask

    def _boxes(self, pairs: Sequence[Pair], frames: Sequence[Frame]) -> tuple[Tensor, Tensor]:
        rows = [reference_boxes(pair, frame, self.names) for pair, frame in zip(pairs, frames, strict=True)]
        most = max(1, *(len(boxes) for boxes, _ in rows))
        boxes, kinds = torch.zeros(len(rows), most, 4), torch.full((len(rows), most), -1)
        for i, (found, labels) in enumerate(rows):
            boxes[i, : len(found)], kinds[i, : len(labels)] = torch.from_numpy(found), torch.from_numpy(labels)
        return boxes, kinds


def reference_boxes(
    pair: Pair, frame: Frame, names: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes (n, 4) in pixels of the tensor and their numbers among `names`; others and cut-off ones are left out."""
    boxes, kinds = [], []
    for region in pair.regions:
        if region.label in names:
            for moved in boxes_in_frame([region.box], frame):
                boxes.append([v * frame.side_px for v in moved])
                kinds.append(names.index(region.label))
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(kinds, np.int64)


def _turn(image: Tensor, mask: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Rotate and zoom film and mask alike."""
    angle, scale = float(rng.uniform(-1, 1)) * ROTATE_DEGREES, 1 + float(rng.uniform(-1, 1)) * ZOOM
    place: dict[str, Any] = {"angle": angle, "translate": [0, 0], "scale": scale, "shear": [0.0, 0.0]}
    turned = affine(image, interpolation=InterpolationMode.BILINEAR, fill=[-1.0], **place)
    return turned, affine(mask, interpolation=InterpolationMode.NEAREST, fill=[0.0], **place)


def usable(dataset: PairDataset, config: FinetuneConfig) -> tuple[str, ...]:
    """The findings of a job: those asked for, else all labels, or all labels of boxes."""
    if config.job == "segmentation":
        return ("finding",)
    if config.labels:
        return config.labels
    if config.job == "detection":
        return tuple(dict.fromkeys(region.label for pair in dataset for region in pair.regions))
    return dataset.label_names
