"""Blocks around the backbone: pooling over positions, and the heads that turn a pooled feature into scores."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._shared.errors import ConfigError, DataError

PoolKind = Literal["avg", "gem", "lse", "topk", "attention"]


class CosineHead(nn.Module):
    """Cosines between an embedding of the feature and one weight vector per task, without bias.

    cos_k = <f, w_k> / (max(|f|, eps) max(|w_k|, eps)), f = E x, in float32 or better also inside autocast: an all
    half-precision cosine is 1e-3 off, and a hand-written sum of squares overflows beyond |x| = 256.

    `embed_dim=None` is the paper's reading (f = x). For x >= 0, such as a pooled ReLU map, the largest and the
    smallest cosine then obey cos_max^2 + cos_min^2 <= 1, so both classes reach at most 0.707 together and a larger
    margin cannot be met; a signed linear embedding (the default, ours) has no such bound.

    Args:
        in_features: C.
        num_tasks: T.
        embed_dim: D of the embedding E; None for none.
        eps: smallest norm divided by.

    Example:
        >>> head = CosineHead(8, num_tasks=2)
        >>> head(torch.randn(3, 8)).shape
        torch.Size([3, 2])
    """

    def __init__(
        self, in_features: int, num_tasks: int = 1, embed_dim: int | None = 128, eps: float = 1e-6
    ) -> None:
        super().__init__()
        for name, value in (("in_features", in_features), ("num_tasks", num_tasks), ("embed_dim", embed_dim)):
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        if embed_dim is None:
            warnings.warn(
                "CosineHead without embedding: on non-negative features the cosines obey cos_max^2 + cos_min^2 <= 1, "
                f"so margins above {feasible_margin():.3f} cannot be met (use embed_dim=128)",
                stacklevel=2,
            )
        self.eps = eps
        self.embed = None if embed_dim is None else nn.Linear(in_features, embed_dim, bias=False)
        self.weight = nn.Parameter(torch.empty(num_tasks, embed_dim or in_features))
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.weight.shape[1]))

    def forward(self, features: Tensor) -> Tensor:
        """Cosines (B, T) in [-1, 1] of features (B, C)."""
        if features.ndim != 2:
            raise DataError(f"expected features (B, C), got {tuple(features.shape)}")
        with torch.autocast(features.device.type, enabled=False):
            f = self.embedding(features)
            weight = self.weight.to(f.dtype)
            unit = weight / weight.norm(dim=1, keepdim=True).clamp(min=self.eps)
            return (f / f.norm(dim=1, keepdim=True).clamp(min=self.eps)) @ unit.T

    def embedding(self, features: Tensor) -> Tensor:
        """The embedding f = E x (B, D) in float32 or better."""
        x = features.to(torch.promote_types(features.dtype, self.weight.dtype))
        with torch.autocast(features.device.type, enabled=False):
            return x if self.embed is None else F.linear(x, self.embed.weight.to(x.dtype))

    def directions(self) -> Tensor:
        """(T, C): E^T w / |w|, so that <direction, x> = |f| cos."""
        unit = self.weight / self.weight.norm(dim=1, keepdim=True).clamp(min=self.eps)
        return unit if self.embed is None else unit @ self.embed.weight


class LinearHead(nn.Module):
    """Logits w x + b, optionally through the same signed embedding; for the losses without a margin.

    Example:
        >>> LinearHead(8)(torch.randn(3, 8)).shape
        torch.Size([3, 1])
    """

    def __init__(self, in_features: int, num_tasks: int = 1, embed_dim: int | None = None) -> None:
        super().__init__()
        self.embed = None if embed_dim is None else nn.Linear(in_features, embed_dim, bias=False)
        self.classifier = nn.Linear(embed_dim or in_features, num_tasks)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, T) in float32 or better."""
        with torch.autocast(features.device.type, enabled=False):
            f = self.embedding(features)
            return F.linear(f, self.classifier.weight.to(f.dtype), self.classifier.bias.to(f.dtype))

    def embedding(self, features: Tensor) -> Tensor:
        """The embedding f = E x (B, D) in float32 or better."""
        x = features.to(torch.promote_types(features.dtype, self.classifier.weight.dtype))
        with torch.autocast(features.device.type, enabled=False):
            return x if self.embed is None else F.linear(x, self.embed.weight.to(x.dtype))

    def directions(self) -> Tensor:
        """(T, C): E^T w."""
        weight = self.classifier.weight
        return weight if self.embed is None else weight @ self.embed.weight


class Pool(nn.Module):
    """One vector per volume from a map (B, C, *spatial).

    avg: mean, which COAM's identities and the exact contributions need. gem: (mean x^p)^(1/p) with learnt p (Radenovic
    et al. 2019). lse: log(mean exp(r x)) / r. topk: mean of the largest tenth of each channel. attention: mean with
    gated softmax weights over positions (Ilse et al. 2018). Only avg is the paper's (inferred).

    Args:
        kind: which.
        channels: C.

    Example:
        >>> Pool("avg", 4)(torch.ones(2, 4, 3, 3, 3)).shape
        torch.Size([2, 4])
    """

    def __init__(self, kind: PoolKind, channels: int) -> None:
        super().__init__()
        if kind not in ("avg", "gem", "lse", "topk", "attention"):
            raise ConfigError(f"expected a pooling among avg, gem, lse, topk, attention, got {kind!r}")
        self.kind = kind
        if kind == "gem":
            self.power = nn.Parameter(torch.tensor(3.0))
        if kind == "attention":
            hidden = max(8, channels // 4)
            self.tanh, self.gate = nn.Linear(channels, hidden), nn.Linear(channels, hidden)
            self.key = nn.Linear(hidden, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) in the type of the features."""
        a = features.flatten(2)
        if self.kind == "gem":
            precise = a.to(torch.promote_types(a.dtype, torch.float32)).clamp(min=1e-6)
            return precise.pow(self.power).mean(2).pow(1 / self.power).to(a.dtype)
        if self.kind == "lse":
            sharpness = 4.0
            return (torch.logsumexp(sharpness * a, 2) - math.log(a.shape[2])) / sharpness
        weights = self.weights(features)
        return a.mean(2) if weights is None else (a * weights).sum(2)

    def weights(self, features: Tensor) -> Tensor | None:
        """Weights (B, 1 or C, N) over positions that sum to 1; None for avg (all 1 / N).

        Raises:
            ConfigError: gem and lse are no weighted means.
        """
        a = features.flatten(2)
        if self.kind in ("gem", "lse"):
            raise ConfigError(f"pooling {self.kind} is no weighted mean of positions: use avg, topk or attention")
        if self.kind == "avg":
            return None
        if self.kind == "topk":
            k = max(1, a.shape[2] // 10)
            return torch.zeros_like(a).scatter(2, a.topk(k, dim=2).indices, 1 / k)
        t = a.transpose(1, 2)
        return self.key(torch.tanh(self.tanh(t)) * torch.sigmoid(self.gate(t))).softmax(1).transpose(1, 2)


def feasible_margin() -> float:
    """Largest margin that both classes can meet on non-negative features without embedding: 1 / sqrt(2)."""
    return 1 / math.sqrt(2)
