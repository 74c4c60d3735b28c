"""Blocks on top of the towers: projection, report pooling, cross-modal attention, SimSiam predictor."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .ragged import Ragged, segment_mean
from .tokens import NO_SENTENCE


def projection(width: int, dim: int) -> nn.Linear:
    """Linear map into the common space, weights with deviation width^-0.5 and no bias at the start (section 1.2)."""
    layer = nn.Linear(width, dim)
    nn.init.normal_(layer.weight, std=width**-0.5)
    nn.init.zeros_(layer.bias)
    return layer


def sentence_means(tokens: Tensor, sentence_ids: Tensor) -> Ragged:
    """Mean token vector of every sentence, in one scatter.

    Args:
        tokens: (B, L, D).
        sentence_ids: (B, L) int64, sentence of each token inside its report, -1 for none.

    Returns:
        Ragged rows (N, D), not normalised.

    Example:
        >>> rows = sentence_means(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[0, 0, -1]]))
        >>> rows.values.tolist(), rows.counts.tolist()
        ([[2.0]], [1])
    """
    counts = sentence_ids.amax(1) + 1
    starts = counts.cumsum(0) - counts
    kept = sentence_ids != NO_SENTENCE
    segments = (sentence_ids + starts[:, None])[kept]
    return Ragged(segment_mean(tokens[kept], segments, int(counts.sum())), counts)


class ReportPooling(nn.Module):
    """One vector per report: the mean sentence attends to itself and to all sentences (section 1.2).

    Unlike in the official code the mean is brought to unit length before it asks (defect D20).

    Args:
        dim: width D.
        heads: attention heads.
        unit_mean: False: as the official code.
    """

    def __init__(self, dim: int, heads: int = 8, *, unit_mean: bool = True) -> None:
        super().__init__()
        self.unit_mean = unit_mean
        self.attention = nn.MultiheadAttention(dim, math.gcd(heads, dim), batch_first=True)

    def forward(self, sentences: Ragged) -> Tensor:
        """Sentences (N, D) -> (B, D), not normalised."""
        rows, real = sentences.padded()
        mean = segment_mean(sentences.values, sentences.owners(), len(rows))[:, None]
        mean = F.normalize(mean, dim=-1) if self.unit_mean else mean
        memory = torch.cat([mean, rows], dim=1)
        hidden = F.pad(~real, (1, 0), value=False)
        pooled: Tensor = self.attention(mean, memory, memory, key_padding_mask=hidden, need_weights=False)[0]
        return pooled[:, 0]


class CrossModalAttention(nn.Module):
    """Attention inside each pair: what of the image belongs to a sentence, and of the report to a patch.

    f^{I->R} = a(f^R W_q2 (f^I W_k1)^T / sqrt(D)) f^I W_v1 and f^{R->I} = a(f^I W_q1 (f^R W_k2)^T / sqrt(D)) f^R W_v2,
    single head, no residual, no output projection (section 1.1). `a` is the sigmoid in the paper; softmax over the
    other side is our default, because sigmoids near one half give all sentences of a report the same vector (D14).
    Unit vectors times small random weights have scores near 0 too, so the softmax form takes its inputs at length
    sqrt(D) and its maps begin as the identity: at the start it weighs by cosine, and what a sentence sees is a mean of
    patches in the common space (our choice).
    """

    def __init__(self, dim: int, kind: Literal["softmax", "sigmoid"] = "softmax", *, bias: bool = True) -> None:
        super().__init__()
        self.kind = kind
        self.q1, self.k1, self.v1 = (nn.Linear(dim, dim, bias=bias) for _ in range(3))
        self.q2, self.k2, self.v2 = (nn.Linear(dim, dim, bias=bias) for _ in range(3))
        if kind == "softmax":
            for layer in (self.q1, self.k1, self.v1, self.q2, self.k2, self.v2):
                nn.init.eye_(layer.weight)
                if bias:
                    nn.init.zeros_(layer.bias)

    def forward(self, patches: Tensor, sentences: Ragged) -> tuple[Tensor, Tensor]:
        """Both directions.

        Args:
            patches: (B, P, D).
            sentences: rows (N, D) of the same B pairs.

        Returns:
            f^{R->I} (B, P, D) and f^{I->R} (N, D), in the order of the sentences.
        """
        rows, real = sentences.padded()
        everywhere = real.new_ones(patches.shape[:2])
        to_patches = self._look(self.q1(patches), self.k2(rows), self.v2(rows), real)
        to_sentences = self._look(self.q2(rows), self.k1(patches), self.v1(patches), everywhere)
        return to_patches, to_sentences[sentences.owners(), sentences.places()]

    def maps(self, patches: Tensor, sentences: Ragged) -> Tensor:
        """Weight of every patch for every sentence, (N, P), as used for f^{I->R}."""
        rows, real = sentences.padded()
        weights = self._weights(self.q2(rows), self.k1(patches), real.new_ones(patches.shape[:2]))
        return weights[sentences.owners(), sentences.places()]

    def agreement(self, patches: Tensor, sentences: Tensor, chunk: int = 8) -> Tensor:
        """Cosine of every sentence with what it sees in every image, not only in its own.

        Quadratic in the batch; `chunk` images are done at a time and done again in the backward pass.

        Args:
            patches: (B, P, D).
            sentences: (N, D), of any reports.
            chunk: images at a time.

        Returns:
            (B, N) in [-1, 1].
        """

        def some(cells: Tensor) -> Tensor:
            query = self.q2(sentences).expand(len(cells), -1, -1)
            seen = self._look(query, self.k1(cells), self.v1(cells), cells.new_ones(cells.shape[:2]).bool())
            return F.cosine_similarity(seen, sentences[None], dim=-1)

        return torch.cat([checkpoint(some, cells, use_reentrant=False) for cells in patches.split(chunk)])

    def _weights(self, query: Tensor, key: Tensor, real: Tensor) -> Tensor:
        # (sqrt(D) q) (sqrt(D) k) / sqrt(D) where the inputs are taken at length sqrt(D)
        root = math.sqrt(query.shape[-1])
        scores = query @ key.transpose(1, 2) * (root if self.kind == "softmax" else 1 / root)
        if self.kind == "softmax":
            return scores.masked_fill(~real[:, None], -math.inf).softmax(-1)
        return scores.sigmoid() * real[:, None]

    def _look(self, query: Tensor, key: Tensor, value: Tensor, real: Tensor) -> Tensor:
        return self._weights(query, key, real) @ value


class Predictor(nn.Sequential):
    """Head h of SimSiam: Linear D -> D/2, ReLU, Linear D/2 -> D."""

    def __init__(self, dim: int) -> None:
        super().__init__(nn.Linear(dim, dim // 2), nn.ReLU(), nn.Linear(dim // 2, dim))


class Temperature(nn.Module):
    """Learnable temperature, kept as log(1 / tau); the scale 1 / tau is clamped to [1, `largest`].

    The clamp passes gradients that lead back inside, so a temperature at its limit is not stuck.
    """

    def __init__(self, initial: float = 0.07, largest: float = 100.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / initial)))
        self._largest = math.log(largest)

    def forward(self) -> Tensor:
        """Scale 1 / tau, a scalar in [1, largest]."""
        clamped = self.log_scale.clamp(0.0, self._largest)
        return (self.log_scale + (clamped - self.log_scale).detach()).exp()
