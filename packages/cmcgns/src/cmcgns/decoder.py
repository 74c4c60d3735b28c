"""CM-MIR, stage II: hidden patches are drawn from the others and from the report."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .ragged import Ragged
from .towers import Grid


def draw_mask(patches: int, ratio: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which patches of one image are hidden: (P,) bool with round(ratio P) True, at least one and not all.

    Example:
        >>> int(draw_mask(16, 0.5, np.random.default_rng(0)).sum())
        8
    """
    hidden = min(max(round(ratio * patches), 1), patches - 1)
    mask = np.zeros(patches, bool)
    mask[rng.permutation(patches)[:hidden]] = True
    return mask


class MaskedReconstruction(nn.Module):
    """Predict the pixels of hidden patches from visible patch features and the report.

    Hidden patches become one learned token; every patch gets its position; `depth` pre-norm transformer layers, each
    with weights of its own, let patches see each other and, by residual cross-attention, the report of the same image;
    a linear layer gives the pixels. It works for any grid of patches, of transformers and convolutional networks. How
    it departs from the official decoder (D2 to D8) is told in PARITY.md.

    Args:
        dim: width D.
        grid: rows and columns of patches.
        side_px: side S of the square image.
        depth: layers.
        heads: attention heads.
        report: what is attended to: the sentences, the report-conditioned patches f^{R->I} (figure 1 of the paper; the
            weights of hidden patches in them were made from these patches, so a little leaks), or nothing.
    """

    def __init__(
        self,
        dim: int,
        grid: Grid,
        side_px: int,
        *,
        depth: int = 2,
        heads: int = 8,
        report: Literal["sentences", "conditioned", "none"] = "sentences",
    ) -> None:
        super().__init__()
        patches = grid[0] * grid[1]
        self.report = report
        self.embed = nn.Linear(dim, dim)
        self.mask_token = nn.Parameter(torch.empty(dim).normal_(std=0.02))
        self.positions = nn.Parameter(torch.empty(patches, dim).normal_(std=0.02))
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                dim, heads, 4 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.pixels = nn.Linear(dim, (side_px // grid[0]) * (side_px // grid[1]))
        self.nothing = nn.Parameter(torch.empty(dim).normal_(std=0.02)) if report == "none" else None
        self._scale = math.sqrt(dim)  # features of unit length, as rows of unit variance

    def forward(self, patches: Tensor, mask: Tensor, sentences: Ragged, conditioned: Tensor) -> Tensor:
        """Reconstruct.

        Args:
            patches: f^I (B, P, D), unit vectors.
            mask: (B, P) bool, True where hidden.
            sentences: unit vectors of the same B reports.
            conditioned: f^{R->I} (B, P, D).

        Returns:
            (B, P, M) pixels of every patch.
        """
        x = torch.where(mask[..., None], self.mask_token, self.embed(patches * self._scale)) + self.positions
        memory, hidden = self._memory(sentences, conditioned)
        for layer in self.layers:
            x = layer(x, memory, memory_key_padding_mask=hidden)
        return self.pixels(self.norm(x))

    def _memory(self, sentences: Ragged, conditioned: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.nothing is not None:
            return self.nothing.expand(len(conditioned), 1, -1), None
        if self.report == "conditioned":
            return conditioned, None
        rows, real = sentences.padded()
        return rows * self._scale, ~real
