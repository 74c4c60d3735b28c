"""An encoder that knows what was planted: the upper bound that every evaluation must recognise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cmcgns.model import ImageFeatures, TextFeatures
from cmcgns.ragged import Ragged
from cmcgns.sentences import split_sentences
from cmcgns.synth.planted import FINDINGS


class OracleEncoder:
    """Brightness at each finding's place against the finding's name in a sentence, with its polarity."""

    name, side_px, comparable = "oracle", 56, True
    device = torch.device("cpu")
    grid = (14, 14)

    def encode_image(self, images: Tensor) -> ImageFeatures:
        """Films (B, 1, S, S)."""
        cells = F.avg_pool2d(images, images.shape[-1] // self.grid[0])[:, 0]
        rows, columns = torch.meshgrid(*(torch.arange(n) for n in self.grid), indexing="ij")
        y, x = (
            (place + 0.5) / self.grid[0] * 7 / 8 + 1 / 16 for place in (rows, columns)
        )  # the crop of film_tensor
        planes = []
        for finding in FINDINGS:
            (cx, cy), (rx, ry) = finding.centre, finding.radii
            near = (((x - cx) / (rx + 0.03)) ** 2 + ((y - cy) / (ry + 0.03)) ** 2 <= 1).float()
            planes.append(((cells + 1) / 2 - 0.5).clamp(min=0) * near)
        maps = torch.stack(planes, -1)
        present = torch.tanh((maps.flatten(1, 2).amax(1) - 0.05) * 30)
        pooled = F.normalize(torch.cat([present, torch.ones(len(images), 1)], 1), dim=-1)
        patches = torch.cat([maps * 8, torch.ones(*maps.shape[:3], 1)], -1).flatten(1, 2)
        return ImageFeatures(pooled, F.normalize(patches, dim=-1), self.grid)

    def encode_text(self, reports: Sequence[str]) -> TextFeatures:
        """Reports or prompts."""
        rows, counts, pooled = [], [], []
        for report in reports:
            sentences = [self._sentence(s) for s in split_sentences(report)]
            rows += sentences
            counts.append(len(sentences))
            whole = torch.stack(sentences).sum(0)
            pooled.append(whole.clamp(-1, 1))
        vectors = F.normalize(torch.stack(pooled), dim=-1)
        return TextFeatures(vectors, Ragged(F.normalize(torch.stack(rows), dim=-1), torch.tensor(counts)))

    def _sentence(self, text: str) -> Tensor:
        words = text.lower()
        sign = -1.0 if words.startswith(("no ", "there is no ")) or " not " in words else 1.0
        values = [sign * (finding.term.split()[-1] in words) for finding in FINDINGS]
        return torch.tensor([*values, 0.05])
