"""What the shared training loop needs to know about pretraining."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ._shared.order import generator
from .config import Config
from .data.pairs import Pair
from .data.pixels import read_pixels
from .decoder import draw_mask
from .losses import info_nce
from .metrics.retrieval import best_ranks, recall_at_k, text_groups
from .objective import CMCGNSObjective, Objective
from .tokens import Tokens, tokenize
from .towers import Grid
from .transforms import film_tensor


class PretrainTask:
    """Films and reports in, the losses of one method and stage out.

    Attributes:
        model: the `Objective`, or its distributed wrapper while the loop trains.
    """

    model: nn.Module

    def __init__(
        self,
        objective: Objective,
        train: Sequence[Pair],
        validation: Sequence[Pair],
        config: Config,
        *,
        stage: int,
    ) -> None:
        self.model = objective
        self.train, self.config, self.stage = train, config, stage
        self.validation = validation
        self._encoder = objective.model
        self._grid: Grid = objective.model.image.probe_grid()
        self._channels = 3 if config.data is None else config.data.channels

    def train_size(self) -> int:
        """Number of training pairs."""
        return len(self.train)

    def batch(self, indices: Sequence[int], rngs: Sequence[np.random.Generator]) -> dict[str, Tensor]:
        """Image (B, C, S, S) in [-1, 1], tokens (B, L) and, in stage II, the hidden patches (B, P)."""
        return self._collate([self.train[int(i)] for i in indices], rngs, augment=True)

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Loss and its parts, of this rank's share."""
        parts: dict[str, Tensor] = self.model(batch)
        return parts

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Recall at 1 and 10, both directions averaged, equal reports equally right, and the contrast; held-out pairs.

        The same numbers in both stages, so that one of them can choose among all checkpoints.
        """
        if len(self.validation) < 2:
            return {"recall_at_10": float("nan")}
        objective: Any = model
        images, texts, extra = self._encode(objective)
        groups = text_groups([pair.report for pair in self.validation])
        ranks = np.concatenate(
            [best_ranks(images, texts, groups, groups), best_ranks(texts, images, groups, groups)]
        )
        scores = {f"recall_at_{k}": recall_at_k(ranks, k) for k in (10, 1)}
        contrast = float(info_nce(images, texts, objective.model.global_temperature()))
        return {**scores, "contrast": contrast, **extra}

    def model_config(self) -> dict[str, Any]:
        """What must travel with the weights: towers, tokenizer, how films become tensors, and the stage."""
        trained = {"method": self.config.loss.method, "stage": self.stage, "seed": self.config.stage1.seed}
        return {**self._encoder.to_json(), "trained": trained}

    def _encode(self, objective: Any) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Global vectors of the held-out pairs, and the reconstruction errors of stage II."""
        device = next(objective.parameters()).device
        wholes, losses = [], []
        for batch in self._validation_batches():
            on_device = {name: value.to(device) for name, value in batch.items()}
            images, texts = objective.encode(on_device)
            wholes.append((images.pooled.float(), texts.pooled.float()))
            if isinstance(objective, CMCGNSObjective) and objective.decoder is not None:
                parts = objective(on_device)
                losses.append(torch.stack([parts["l1_masked"], parts["l1_all"]]))
        images, texts = (torch.cat(side) for side in zip(*wholes, strict=True))
        if not losses:
            return images, texts, {}
        masked, everywhere = torch.stack(losses).mean(0).tolist()
        return images, texts, {"l1_masked": masked, "l1_all": everywhere}

    def _validation_batches(self) -> Iterator[dict[str, Tensor]]:
        """Held-out pairs in order, not augmented, their masks a function of the pair's number alone."""
        size = max(self.config.chunk or self.config.stage1.batch_size, 2)
        for start in range(0, len(self.validation), size):
            numbers = range(start, min(start + size, len(self.validation)))
            rngs = [generator(0, "validation-mask", i) for i in numbers]
            yield self._collate([self.validation[i] for i in numbers], rngs, augment=False)

    def _collate(
        self, pairs: Sequence[Pair], rngs: Sequence[np.random.Generator], *, augment: bool
    ) -> dict[str, Tensor]:
        side, text = self.config.model.image.side_px, self.config.model.text
        films = [
            film_tensor(
                read_pixels(pair.image), side_px=side, channels=self._channels, rng=rng if augment else None
            )[0]
            for pair, rng in zip(pairs, rngs, strict=True)
        ]
        tokens: Tokens = tokenize(
            [pair.report for pair in pairs],
            self._encoder.text.pieces,
            max_tokens=text.max_tokens,
            splitter=text.splitter,
        )
        batch = {"image": torch.stack(films), **tokens._asdict()}
        if self.stage == 2:
            ratio, patches = self.config.reconstruction.mask_ratio, self._grid[0] * self._grid[1]
            batch["mask"] = torch.from_numpy(np.stack([draw_mask(patches, ratio, rng) for rng in rngs]))
        return batch
