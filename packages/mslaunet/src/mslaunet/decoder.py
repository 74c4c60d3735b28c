"""The multi-level decoder: neck, head, and the convolution to class logits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import ACTIVATIONS, Activation
from .products import channel_product, product

Aggregation = Literal["topdown", "official"]


class ConvNormAct(nn.Module):
    """Convolution without bias, batch norm, activation; children "0" and "1" as in the official state dict."""

    def __init__(self, before: int, after: int, kernel_size: int, activation: Activation) -> None:
        super().__init__()
        self.add_module("0", nn.Conv2d(before, after, kernel_size, padding=kernel_size // 2, bias=False))
        self.add_module("1", nn.BatchNorm2d(after))
        self.activation: Activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H, W)."""
        return ACTIVATIONS[self.activation](self.get_submodule("1")(self.get_submodule("0")(x)))


class Climb(nn.Module):
    """From one stage's width and stride to those of the decoder: per stage a 1x1 convolution, norm and doubling.

    A convolution that follows a doubling is computed before it: both are linear, the doubling's weights sum to 1,
    so the order does not matter, and the convolution costs a quarter. Norm and activation stay behind it.

    Children are "0", "1" (convolution, norm), "4", "5", "8", "9", as in the official state dict. One width: the
    identity.

    Args:
        widths: on the way up, the stage's own first.
        align_corners: convention of the bilinear doublings.
        activation: after every norm.
        doublings: whether the map grows; not for stage 1.
    """

    def __init__(
        self, widths: Sequence[int], *, align_corners: bool, activation: Activation, doublings: bool = True
    ) -> None:
        super().__init__()
        self.steps = [4 * i for i in range(len(widths) - 1)]
        for i, (before, after) in zip(self.steps, pairwise(widths), strict=True):
            self.add_module(str(i), nn.Conv2d(before, after, 1, bias=False))
            self.add_module(str(i + 1), nn.BatchNorm2d(after))
        self.align_corners = align_corners
        self.activation: Activation = activation
        self.doublings = doublings

    def forward(self, x: Tensor) -> Tensor:
        """(B, widths[0], H, W) -> (B, widths[-1], H * 2 ** steps, W * 2 ** steps)."""
        for i in self.steps:
            conv: Any = self.get_submodule(str(i))
            x = channel_product(x.permute(0, 2, 3, 1), conv).permute(0, 3, 1, 2)
            if i and self.doublings:
                x = double(x, self.align_corners)
            x = ACTIVATIONS[self.activation](self.get_submodule(str(i + 1))(x))
        return double(x, self.align_corners) if self.steps and self.doublings else x


class Neck(nn.Module):
    """Brings the four stage maps to stride 4 and equal width, and sums them up.

    S1 is the stage-1 map as it is (through a 1x1 convolution where its width is not `channels`: our addition);
    S2..S4 pass one 1x1 convolution and one doubling per stage. "topdown" adds deep into shallow: A4 = S4,
    A3 = A4 + S3, ...; "official" adds shallow into deep, as the official code does: A1 = S1, A2 = A1 + S2, ...

    The official names count backwards: p5 belongs to stage 1, p2 to stage 4.

    Args:
        embed_dims: widths of the four stages.
        channels: width of the outputs.
        aggregation: "topdown" or "official".
        align_corners: convention of the bilinear doublings.
        activation: after every norm; officially ReLU.
    """

    def __init__(
        self,
        embed_dims: Sequence[int],
        channels: int,
        *,
        aggregation: Aggregation,
        align_corners: bool,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.aggregation: Aggregation = aggregation
        for stage in range(1, 5):
            # widths on the way from this stage up to stride 4, for stage 4: c4, c3, c2, channels
            widths = [*reversed(embed_dims[1:stage]), channels]
            if stage == 1 and embed_dims[0] != channels:
                widths = [embed_dims[0], channels]
            climb = Climb(widths, align_corners=align_corners, activation=activation, doublings=stage > 1)
            self.add_module(f"mla_p{6 - stage}", climb)
            self.add_module(f"mla_p{6 - stage}_3x3", ConvNormAct(channels, channels, 3, activation))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Four stage maps, shallowest first, to four maps (B, channels, height / 4, width / 4)."""
        names = ["mla_p5", "mla_p4", "mla_p3", "mla_p2"]
        resized = [self.get_submodule(name)(x) for name, x in zip(names, maps, strict=True)]
        sums = aggregate(resized, self.aggregation)
        return [self.get_submodule(f"{name}_3x3")(x) for name, x in zip(names, sums, strict=True)]


def aggregate(maps: Sequence[Tensor], direction: Aggregation) -> list[Tensor]:
    """Running sums of maps of equal shape, given and returned shallowest first.

    Example:
        >>> maps = [torch.tensor(x) for x in (1, 10, 100, 1000)]
        >>> [int(a) for a in aggregate(maps, "topdown")]
        [1111, 1110, 1100, 1000]
        >>> [int(a) for a in aggregate(maps, "official")]
        [1, 11, 111, 1111]
    """
    if direction == "topdown":
        return list(accumulate(reversed(maps)))[::-1]
    return list(accumulate(maps))


class Head(nn.Module):
    """Four 3x3 convolutions, one per level; `class_logits` concatenates and doubles their maps."""

    def __init__(self, channels: int, *, activation: Activation = "relu") -> None:
        super().__init__()
        for level in range(2, 6):
            self.add_module(f"head{level}", ConvNormAct(channels, channels, 3, activation))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Four maps (B, channels, h, w), shallowest first, to four of the same shape."""
        return [self.get_submodule(f"head{level}")(x) for level, x in enumerate(maps, start=2)]


def class_logits(features: Tensor, conv: nn.Conv2d, *, align_corners: bool) -> Tensor:
    """The 3x3 convolution of the features doubled in size: conv(double(x)), computed in the cheaper of two orders.

    A 3x3 convolution is nine 1x1 convolutions whose results are shifted and summed, and a 1x1 convolution commutes
    with the doubling. So with few classes the nine products are taken at the small size, a quarter of the work, and
    9 K maps are doubled in place of C; with many classes (9 K > C) that would need more memory than it saves.

    Args:
        features: (B, C, h, w).
        conv: 3x3, C to K channels, padding 1.
        align_corners: convention of the bilinear doubling.

    Returns:
        (B, K, 2 h, 2 w).

    Example:
        >>> x, conv = torch.randn(1, 32, 4, 5), nn.Conv2d(32, 3, 3, padding=1)
        >>> plain = conv(double(x, True))
        >>> torch.allclose(class_logits(x, conv, align_corners=True), plain, atol=1e-5)
        True
    """
    classes = conv.out_channels
    if 9 * classes > conv.in_channels:
        return conv(double(features, align_corners))
    taps = conv.weight.permute(2, 3, 0, 1).flatten(0, 2)  # (9 K, C), rows dy, dx, k
    y = product(features.permute(0, 2, 3, 1), taps)
    y = y.to(
        torch.promote_types(y.dtype, torch.float32)
    )  # half precision is slow here, and sums of nine are coarse
    y = double(y.permute(0, 3, 1, 2), align_corners).permute(0, 2, 3, 1)
    total = _shifted_sum(_shifted_sum(y, axis=1), axis=2).permute(0, 3, 1, 2)
    return total if conv.bias is None else total + conv.bias[:, None, None]


def _shifted_sum(x: Tensor, axis: int) -> Tensor:
    """out[i] = a[i - 1] + b[i] + c[i + 1] along an axis, zeros outside, of x = (a, b, c) in the last axis."""
    before, here, after = x.chunk(3, dim=-1)
    length = x.shape[axis]
    total = here.clone()
    total.narrow(axis, 1, length - 1).add_(before.narrow(axis, 0, length - 1))
    total.narrow(axis, 0, length - 1).add_(after.narrow(axis, 1, length - 1))
    return total


def double(x: Tensor, align_corners: bool) -> Tensor:
    """Bilinear upsampling by two."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=align_corners)
