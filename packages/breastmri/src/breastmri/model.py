"""The classifier: backbone, pooling, head."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ._shared.errors import ConfigError, DataError
from .attention import coam, cosine_contributions
from .backbones import BackboneName, OutputStride, make_backbone
from .geometry import CellGrid
from .layers import CosineHead, LinearHead, Pool, PoolKind

HeadKind = Literal["cosine", "cosine-pair", "linear"]


class BreastNet(nn.Module):
    """A 3-D network with one score per task: a cosine, the difference of two, or a logit.

    Args:
        in_channels: channels of the input, see `preprocess.Preprocessing`.
        backbone: tiny, resnet3d18, resnet3d34 or densenet3d121.
        head: "cosine" (CMSL), "cosine-pair" (cosines of the classes no and yes, for softmax losses; one task) or
            "linear" (logits).
        num_tasks: T.
        embed_dim: signed linear embedding before the head; None for none.
        pooling: avg, gem, lse, topk or attention.
        output_stride: voxels per cell of the map, 8, 16 or 32.

    Example:
        >>> net = BreastNet(3, backbone="tiny")
        >>> net(torch.zeros(2, 3, 8, 16, 16)).shape
        torch.Size([2, 1])
    """

    def __init__(
        self,
        in_channels: int = 3,
        *,
        backbone: BackboneName = "resnet3d18",
        head: HeadKind = "cosine",
        num_tasks: int = 1,
        embed_dim: int | None = 128,
        pooling: PoolKind = "avg",
        output_stride: OutputStride | None = None,
    ) -> None:
        super().__init__()
        if head == "cosine-pair" and num_tasks != 1:
            raise ConfigError(f"head cosine-pair is for one task, got num_tasks={num_tasks}")
        self.config: dict[str, Any] = {
            "in_channels": in_channels,
            "backbone": backbone,
            "head": head,
            "num_tasks": num_tasks,
            "embed_dim": embed_dim,
            "pooling": pooling,
            "output_stride": output_stride,
        }
        self.backbone = make_backbone(backbone, in_channels, output_stride)
        self.pool = Pool(pooling, self.backbone.channels)
        self.head = _make_head(head, self.backbone.channels, num_tasks, embed_dim)

    @property
    def cells(self) -> CellGrid:
        """Where the cells of `features` lie among the voxels of the input."""
        return self.backbone.cells

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, T) of volumes (B, C, D, H, W)."""
        return self.scores(self.outputs(self.features(x)))

    def features(self, x: Tensor) -> Tensor:
        """Feature map (B, C, D', H', W') after ReLU.

        Raises:
            DataError: not five axes, or another number of channels.
        """
        if x.ndim != 5 or x.shape[1] != self.config["in_channels"]:
            raise DataError(f"expected (B, {self.config['in_channels']}, D, H, W), got {tuple(x.shape)}")
        return self.backbone(x)

    def outputs(self, features: Tensor) -> Tensor:
        """What the loss takes: (B, T), or (B, 2) of a cosine pair."""
        return self.head(self.pool(features))

    def scores(self, outputs: Tensor) -> Tensor:
        """(B, T); of a cosine pair the difference yes - no."""
        return outputs[:, 1:] - outputs[:, :1] if self.config["head"] == "cosine-pair" else outputs

    def directions(self) -> Tensor:
        """(T, C): class weights on the channels of the map, for CAM."""
        directions = self.head.directions()
        return directions[1:] - directions[:1] if self.config["head"] == "cosine-pair" else directions

    def contributions(self, features: Tensor) -> Tensor:
        """Parts (B, T, D', H', W') that add up to the cosine exactly.

        Raises:
            ConfigError: the head is linear, or the pooling no weighted mean.
        """
        if not isinstance(self.head, CosineHead):
            raise ConfigError("contributions to a cosine need a cosine head, this model's is linear")
        weights = self.pool.weights(features)
        norm = self.head.embedding(self.pool(features)).norm(dim=1).clamp(min=self.head.eps)
        return cosine_contributions(features, self.directions(), norm, weights)

    def weighted_coam(self, features: Tensor, task: int = 0) -> Tensor:
        """COAM whose pair score weights channels by the positive part of the class weights."""
        return coam(features, "weighted", weight=self.directions()[task].detach())


def _make_head(kind: HeadKind, channels: int, num_tasks: int, embed_dim: int | None) -> CosineHead | LinearHead:
    if kind == "linear":
        return LinearHead(channels, num_tasks, embed_dim)
    if kind not in ("cosine", "cosine-pair"):
        raise ConfigError(f"expected a head among cosine, cosine-pair, linear, got {kind!r}")
    with warnings.catch_warnings():
        # the configuration warns where the margin itself cannot be met
        warnings.filterwarnings("ignore", "CosineHead without embedding")
        return CosineHead(channels, 2 if kind == "cosine-pair" else num_tasks, embed_dim)


def seeded_net(seed: int, **settings: Any) -> BreastNet:
    """A network whose initial weights are decided by the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BreastNet(**settings)
