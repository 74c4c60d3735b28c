"""What the official code computes where the package departs from it, defects included: for parity, not for training.

Written from the specification (its sections 1.2 and 1.3). The official report loss is `losses.report_loss` with variant
"official", its attention `layers.CrossModalAttention` with sigmoid, its report pooling `layers.ReportPooling` with
`unit_mean=False`.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cluster import assign
from .cluster.kmeans import farthest_chain
from .losses import report_loss

RATE, START_COSINE = 1e-3, 0.4


class OfficialStep(NamedTuple):
    """Result of one training step of the official report loss.

    Attributes:
        loss: a scalar.
        centroids: (K, D) after the step, None before the start.
    """

    loss: Tensor
    centroids: Tensor | None


def official_report_step(
    z1: Tensor, z2: Tensor, centroids: Tensor | None, k: int = 128, first: int = 0
) -> OfficialStep:
    """Steps 1 to 9 of section 1.2: start rule, update or seeding, loss.

    Args:
        z1: (N, D) sentences.
        z2: (N, D) image-conditioned sentences.
        centroids: (K, D), None before the start.
        k: clusters.
        first: row of z2 that the seeding begins with (official: Python's global random).
    """
    if centroids is None:
        loss = report_loss(z1, z2, None)
        mean = (F.normalize(z1.detach(), dim=-1) @ F.normalize(z2.detach(), dim=-1).T).mean()
        return OfficialStep(loss, farthest_chain(z2, k, first) if mean <= START_COSINE else None)
    centroids = update_centroids(z2, centroids)
    return OfficialStep(report_loss(z1, z2, centroids, variant="official", false_negatives="bml"), centroids)


@torch.no_grad()
def update_centroids(points: Tensor, centroids: Tensor, rate: float = RATE) -> Tensor:
    """Momentum with the SUM of the members, so that norms drift (D17); centres without members stay.

    Args:
        points: (N, D); unit vectors are taken.
        centroids: (K, D).
        rate: weight of the new sum.
    """
    unit = F.normalize(points, dim=-1)
    labels = assign(unit, centroids)
    total = torch.zeros_like(centroids).index_add_(0, labels, unit)
    has_members = torch.bincount(labels, minlength=len(centroids)) > 0
    return torch.where(has_members[:, None], rate * total + (1 - rate) * centroids, centroids)


def scrambled_patches(features: Tensor) -> Tensor:
    """D1: a map (B, C, H, W) re-read as (B, HW, C) without a transpose."""
    batch, channels, height, width = features.shape
    return features.reshape(batch, height * width, channels)


def official_reconstruction_loss(predicted: Tensor, images: Tensor) -> Tensor:
    """Ten times the mean absolute error over all pixels of (B, 3, H, W) in [-1, 1] (D7)."""
    return 10 * (predicted - images).abs().mean()


class _Upsampler(nn.ModuleList):
    """3 x 3 convolution, ReLU, bilinear x2 per level; Tanh after the last ReLU, so never below 0 (D6)."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for conv in self:
            x = F.interpolate(F.relu(conv(x)), scale_factor=2, mode="bilinear", align_corners=False)
        return torch.tanh(x)


def _as_map(tokens: Tensor) -> Tensor:
    side = math.isqrt(tokens.shape[1])
    return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)


class OfficialResNetDecoder(nn.Module):
    """Channel mask (D2), [f^I | f^{R->I}], five convolutions: (B, P, D) -> (B, 3, 32 side, 32 side)."""

    def __init__(self, dim: int = 768, widths: tuple[int, ...] = (512, 256, 128, 64, 3)) -> None:
        super().__init__()
        self.convs = _Upsampler((2 * dim, *widths))

    def forward(self, patches: Tensor, conditioned: Tensor, keep: Tensor) -> Tensor:
        """Patches f^I and f^{R->I} (B, P, D), keep (B, D) of 0 and 1, drawn in eval mode too (D3)."""
        return self.convs(torch.cat([_as_map(patches * keep[:, None]), _as_map(conditioned)], dim=1))


class OfficialViTDecoder(nn.Module):
    """Token mask, fusion without residual (D8), one layer applied six times (D5), four convolutions.

    Attention takes the batch for the sequence (D4): patients leak into each other.
    """

    def __init__(
        self,
        dim: int = 768,
        patches: int = 196,
        *,
        heads: int = 8,
        hidden: int = 2048,
        widths: tuple[int, ...] = (512, 256, 128, 3),
        passes: int = 6,
    ) -> None:
        super().__init__()
        self.passes = passes
        self.fusion = nn.MultiheadAttention(dim, heads)
        self.positions = nn.Parameter(torch.zeros(patches, dim))
        self.layer = nn.TransformerDecoderLayer(dim, heads, hidden, dropout=0.1)
        self.convs = _Upsampler((dim, *widths))

    def forward(self, patches: Tensor, conditioned: Tensor, keep: Tensor) -> Tensor:
        """Patches f^I and f^{R->I} (B, P, D), keep (B, P) of 0 and 1 -> (B, 3, 16 side, 16 side)."""
        masked = patches * keep[..., None] * 2
        x = self.fusion(masked, conditioned, conditioned, need_weights=False)[0] + self.positions
        for _ in range(self.passes):
            x = self.layer(x, x)
        return self.convs(_as_map(x))
