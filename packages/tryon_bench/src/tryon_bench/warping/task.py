"""Batch -> losses: what the shared training loop needs to know about warping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from .._shared.logs import progress
from ..data.sample import Sample
from ..engine.images import decode
from ..flow import second_order
from ..methods.conditions import conditions_of
from ..tps import control_grid
from .config import WarpConfig
from .crops import Crops, cut, make_crops, mirrored_person
from .model import GRID, WarpNet


@dataclass(frozen=True, eq=False)
class WarpSample:
    """One training pair: crops, and the photo's crop, (3, S, S) in [-1, 1]."""

    crops: Crops
    photo: NDArray[np.float32]


def load_samples(samples: Sequence[Sample], side_px: int, *, quiet: bool = False) -> list[WarpSample]:
    """Read pairs, each reduced to its crops (304 KB at 64 px) and kept in memory.

    Raises:
        DataError: damaged files, or a pair without masks.
    """
    loaded = []
    with progress(len(samples), "reading pairs", quiet=quiet) as bar:
        for sample in samples:
            person, garment = decode(sample.person), decode(sample.garment)
            crops = make_crops(garment, conditions_of(sample, person, garment, 0), side_px)
            planes = np.moveaxis(person / np.float32(127.5) - 1, 2, 0)
            loaded.append(WarpSample(crops, np.stack([cut(p, crops.person_frame, side_px) for p in planes])))
            bar.update()
    return loaded


class WarpTask:
    """Pairs in; L1 of the warped garment on the worn area, L1 of its mask, and second differences out."""

    def __init__(
        self, model: WarpNet, train: Sequence[WarpSample], held_out: Sequence[WarpSample], config: WarpConfig
    ) -> None:
        self.model: nn.Module = model
        self.train, self.held_out, self.config = train, held_out, config
        self._dense = model.dense

    def train_size(self) -> int:
        """Number of training pairs."""
        return len(self.train)

    def batch(self, indices: Sequence[int], rngs: Sequence[np.random.Generator]) -> dict[str, Tensor]:
        """Crops (B, C, S, S), mirrored by each sample's generator."""
        chosen = [
            (self.train[int(i)], self.config.flip and rng.random() < 0.5)
            for i, rng in zip(indices, rngs, strict=True)
        ]
        return _stacked([_mirrored(sample) if flip else sample for sample, flip in chosen])

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Loss and its parts."""
        points = self.model(batch["person"], batch["garment"])
        weights = self.config.loss
        colour, mask = self._compared(points, batch)
        shift = (points - points.new_tensor(control_grid(GRID))).transpose(1, 2).reshape(-1, 2, GRID, GRID)
        smoothness = second_order(shift * self.config.model.side_px)
        total = colour + weights.mask * mask + weights.smoothness * smoothness
        return {"loss": total, "colour": colour, "mask": mask, "smoothness": smoothness}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """L1 of colours and of masks on the held-out pairs; their sum chooses the best weights."""
        batch = {key: value.to(next(model.parameters()).device) for key, value in _stacked(self.held_out).items()}
        colour, mask = self._compared(model(batch["person"], batch["garment"]), batch)
        total = float(colour) + self.config.loss.mask * float(mask)
        return {"l1": total, "colour": float(colour), "mask": float(mask)}

    def model_config(self) -> dict[str, Any]:
        """What must travel with the weights."""
        return {"kind": "warp_net", **self.config.model.model_dump()}

    def _compared(self, points: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """L1 of the colours where the garment is worn and seen, and of the masks where nothing is in front."""
        where = self._dense(points) * 2 - 1
        warped = F.grid_sample(batch["garment"], where, padding_mode="zeros", align_corners=False)
        target, front = batch["person"][:, :1], batch["person"][:, 1:2]
        colour = ((warped[:, :3] - batch["photo"]).abs() * target).sum() / (3 * target.sum()).clamp_min(1)
        seen = 1 - front
        mask = ((warped[:, 3:] - target).abs() * seen).sum() / seen.sum().clamp_min(1)
        return colour, mask


def _stacked(samples: Sequence[WarpSample]) -> dict[str, Tensor]:
    return {
        "person": torch.from_numpy(np.stack([sample.crops.person for sample in samples])),
        "garment": torch.from_numpy(np.stack([sample.crops.garment for sample in samples])),
        "photo": torch.from_numpy(np.stack([sample.photo for sample in samples])),
    }


def _mirrored(sample: WarpSample) -> WarpSample:
    crops = sample.crops
    garment = np.ascontiguousarray(crops.garment[:, :, ::-1])
    turned = Crops(mirrored_person(crops.person), garment, crops.person_frame, crops.garment_frame)
    return WarpSample(turned, np.ascontiguousarray(sample.photo[:, :, ::-1]))
