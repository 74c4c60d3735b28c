"""Blocks of MSLAU-Net: multi-scale linear attention (MSLA) and what surrounds it.

Sub-module names are those of the official state dict, so that official weights load without renaming.
Shapes: B batch, C channels, G scales (one per kernel size), N tokens, H heads, E channels of one head.

Maps (B, C, height, width) are kept in channels_last memory throughout, where tokens (B, N, C) in raster order are a
view of them: convolutions need no reordering, 1x1 convolutions are matrix products, norms read contiguous channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from ._shared.errors import ConfigError, DataError
from .depthwise import DepthwiseConv2d
from .products import channel_product

TokenLayout = Literal["raster", "legacy"]
HeadMerge = Literal["concat", "legacy"]
SoftmaxAxes = Literal["efficient", "swapped"]
Activation = Literal["relu", "gelu", "silu"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}


def require_choice(name: str, value: object, choices: object) -> None:
    """Raise ConfigError unless `value` is one of the strings of the Literal type `choices`."""
    if value not in get_args(choices):
        raise ConfigError(f"{name} must be one of {', '.join(get_args(choices))}, got {value!r}")


def tokens_to_map(tokens: Tensor, grid: tuple[int, int], layout: TokenLayout) -> Tensor:
    """Tokens (B, N, C) as planes (B, C, height, width), N = height * width.

    "raster": plane c holds channel c of every token, row by row. "legacy": the (N, C) buffer is re-read as
    (C, height, width) without a transpose, as the official code does: a plane then mixes channels and positions.

    Example:
        >>> tokens = torch.tensor([[[0, 10], [1, 11], [2, 12]]])  # three tokens of two channels
        >>> tokens_to_map(tokens, (1, 3), "raster").tolist()
        [[[[0, 1, 2]], [[10, 11, 12]]]]
        >>> tokens_to_map(tokens, (1, 3), "legacy").tolist()
        [[[[0, 10, 1]], [[11, 2, 12]]]]
    """
    batch, _, channels = tokens.shape
    if layout == "raster":
        return _first(tokens.reshape(batch, *grid, channels))
    return tokens.reshape(batch, channels, *grid)


def map_to_tokens(planes: Tensor, layout: TokenLayout) -> Tensor:
    """Planes (B, C, height, width) as tokens (B, N, C): the inverse of `tokens_to_map`."""
    batch, channels, height, width = planes.shape
    if layout == "raster":
        return _last(planes).reshape(batch, height * width, channels)
    return planes.reshape(batch, height * width, channels)


def linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    softmax: SoftmaxAxes = "efficient",
    head_merge: HeadMerge = "concat",
) -> Tensor:
    """Attention in O(N): merge(s_q(Q) (s_k(K)^T V)), without 1/sqrt(E) and without a row normaliser.

    "efficient" normalises Q over the channels of a head and K over the tokens (Shen et al., Efficient Attention):
    each output token is a convex mix of the values. "swapped" normalises Q over the tokens and K over the channels
    (the official code): the columns of the implied N x N matrix sum to 1, its rows do not.

    Runs in float32 or better: a softmax over many tokens has weights below the smallest normal float16. (Autocast
    still lowers the two products.)

    Args:
        q: queries (..., H, N, E).
        k: keys (..., H, N, E).
        v: values (..., H, N, E).
        softmax: which axes are normalised.
        head_merge: "concat" puts the heads of a token side by side; "legacy" re-reads the (H, N, E) buffer as
            (N, H * E) without a transpose, so that an output token holds one head of several tokens.

    Returns:
        (..., N, H * E).

    Example:
        >>> q, k, v = torch.randn(3, 2, 5, 4).unbind()  # 2 heads, 5 tokens, 4 channels per head
        >>> linear_attention(q, k, torch.ones_like(v)).allclose(torch.ones(5, 8))
        True
    """
    q_axis, k_axis = (-1, -1) if softmax == "efficient" else (-2, -2)
    precise = torch.promote_types(v.dtype, torch.float32)
    q, k = q.softmax(q_axis, dtype=precise), k.transpose(-2, -1).softmax(k_axis, dtype=precise)
    out = (q @ (k @ v.to(precise))).to(v.dtype)  # (..., H, N, E)
    *lead, heads, tokens, width = out.shape
    if head_merge == "concat":
        out = out.transpose(-3, -2)
    return out.reshape(*lead, tokens, heads * width)


class LinearAttention(nn.Module):
    """Projections around `linear_attention`: tokens (..., N, dim) to tokens (..., N, dim).

    Args:
        dim: channels, a multiple of num_heads.
        num_heads: heads; each has dim / num_heads channels.
        head_merge: see `linear_attention`.
        softmax: see `linear_attention`.
    """

    def __init__(
        self, dim: int, num_heads: int, *, head_merge: HeadMerge = "concat", softmax: SoftmaxAxes = "efficient"
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_merge: HeadMerge = head_merge
        self.softmax: SoftmaxAxes = softmax
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Attend within the last two axes of (..., N, dim)."""
        return channel_product(self.attend(tokens), self.proj)

    def attend(self, tokens: Tensor) -> Tensor:
        """The same without the output projection."""
        qkv = channel_product(tokens, self.qkv).unflatten(-1, (3, self.num_heads, -1))  # (..., N, 3, H, E)
        q, k, v = qkv.transpose(-4, -2).unbind(-3)  # each (..., H, N, E)
        return linear_attention(q, k, v, softmax=self.softmax, head_merge=self.head_merge)


class LocalBranch(nn.Module):
    """One scale of MSLA: act(depthwise_k(x) + x) on (B, channels, height, width), zero padding; officially ReLU."""

    def __init__(self, channels: int, kernel_size: int, activation: Activation = "relu") -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(channels, kernel_size)
        self.activation: Activation = activation

    def forward(self, planes: Tensor) -> Tensor:
        """Same shape out."""
        return ACTIVATIONS[self.activation](self.depthwise(planes) + planes)


class MSLA(nn.Module):
    """Multi-scale linear attention: depthwise branches on channel groups, then one shared linear attention.

    The channels are split into one group per kernel size k; Y_g = ReLU(depthwise_k(X_g) + X_g); every Y_g goes
    through the same `LinearAttention`, is multiplied by a learned scalar, and a 1x1 convolution fuses the groups.

    The defaults are the design as described in second-hand sources (not verified against the paper's text); the
    official code computes token_layout="legacy", head_merge="legacy", softmax="swapped". All choices have the same
    parameters. See PARITY.md.

    Args:
        dim: channels C, a multiple of len(kernel_sizes) * num_heads.
        num_heads: heads of the attention inside each group.
        kernel_sizes: odd and distinct, one group each.
        token_layout: "raster" or "legacy", see `tokens_to_map`.
        head_merge: "concat" or "legacy", see `linear_attention`.
        softmax: "efficient" or "swapped", see `linear_attention`.
        share_scales: one `LinearAttention` for all scales, as officially, or one for each (our option: then
            `linear_attention` is a list of them, and the parameters are not those of the presets).
        activation: after the depthwise convolutions: "relu" (official), "gelu" or "silu".

    Raises:
        ConfigError: a size does not divide or a choice is unknown.

    Example:
        >>> msla = MSLA(dim=32, num_heads=2)
        >>> msla(torch.zeros(1, 6 * 10, 32), grid=(6, 10)).shape
        torch.Size([1, 60, 32])
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
        token_layout: TokenLayout = "raster",  # noqa: S107 (no password)
        head_merge: HeadMerge = "concat",
        softmax: SoftmaxAxes = "efficient",
        share_scales: bool = True,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        require_choice("token_layout", token_layout, TokenLayout)
        require_choice("head_merge", head_merge, HeadMerge)
        require_choice("softmax", softmax, SoftmaxAxes)
        require_choice("activation", activation, Activation)
        sizes = list(kernel_sizes)
        if not sizes or len(set(sizes)) < len(sizes) or any(k < 1 or k % 2 == 0 for k in sizes):
            raise ConfigError(
                f"kernel_sizes must be distinct positive odd numbers such as 3, 5, 7, 9, got {sizes}"
            )
        if num_heads < 1:
            raise ConfigError(f"num_heads must be at least 1, got {num_heads}")
        step = len(sizes) * num_heads
        if dim < 1 or dim % step:
            raise ConfigError(
                f"dim must be a positive multiple of {len(sizes)} kernel sizes x {num_heads} heads, got {dim}; "
                f"the next that fits is {max(1, -(-dim // step)) * step}"
            )
        group_dim = dim // len(sizes)
        self.dim = dim
        self.token_layout: TokenLayout = token_layout
        self.branches = [f"dw_conv_{k}x{k}" for k in sizes]
        for name, k in zip(self.branches, sizes, strict=True):
            self.add_module(name, LocalBranch(group_dim, k, activation))
        attentions = [
            LinearAttention(group_dim, num_heads, head_merge=head_merge, softmax=softmax)
            for _ in range(1 if share_scales else len(sizes))
        ]
        self.linear_attention = attentions[0] if share_scales else nn.ModuleList(attentions)
        self.scale_weights = nn.Parameter(torch.ones(len(sizes)))
        self.final_conv = nn.Conv2d(dim, dim, 1)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Mix tokens over space.

        Args:
            tokens: (B, N, dim) in raster order.
            grid: (height, width) of the token grid, N = height * width.

        Returns:
            (B, N, dim).

        Raises:
            DataError: the tokens do not fit `dim` or `grid`.
        """
        height, width = grid
        if tokens.ndim != 3 or tokens.shape[1:] != (height * width, self.dim):
            raise DataError(
                f"expected tokens (B, {height} * {width}, {self.dim}) for the grid {height} x {width}, "
                f"got {tuple(tokens.shape)}"
            )
        mixed = self._attend(self._local(tokens, grid))  # (B, G, N, C / G)
        mixed = mixed * self.scale_weights[:, None, None]
        fused = channel_product(
            mixed.transpose(1, 2).flatten(2), self.final_conv
        )  # what a position has in all planes
        if self.token_layout == "raster":  # noqa: S105 (no password)
            return fused
        return map_to_tokens(tokens_to_map(fused, grid, "raster").contiguous(), self.token_layout)

    def _local(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """The depthwise branches: tokens (B, N, C) to (B, G, N, C / G)."""
        planes = tokens_to_map(tokens, grid, self.token_layout).contiguous(memory_format=torch.channels_last)
        groups = planes.chunk(len(self.branches), dim=1)
        local = [self.get_submodule(b)(g).permute(0, 2, 3, 1) for b, g in zip(self.branches, groups, strict=True)]
        return torch.stack(local, dim=1).flatten(2, 3)

    def _attend(self, local: Tensor) -> Tensor:
        """Linear attention inside every scale of (B, G, N, C / G): one call where the scales share weights."""
        if isinstance(self.linear_attention, LinearAttention):
            return self.linear_attention(local)
        scales = zip(self.linear_attention, local.unbind(1), strict=True)
        return torch.stack([attention(x) for attention, x in scales], dim=1)


class PatchEmbed(nn.Module):
    """Strided convolution without overlap, then LayerNorm over the channels.

    Args:
        in_channels: channels of the input.
        dim: channels of the output.
        stride: kernel size and stride; height and width must be multiples of it.
    """

    def __init__(self, in_channels: int, dim: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, stride, stride)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, height, width) to (B, dim, height / stride, width / stride)."""
        return self.norm(self.proj(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FeedForward(nn.Module):
    """Linear(GELU(Linear(x))) over the last axis (..., dim), dropout after both.

    Args:
        dim: channels.
        hidden: channels between the two layers.
        dropout: dropout rate.
        convolution: keep the weights as 1x1 convolutions (hidden, dim, 1, 1), as the official LFE block does.
    """

    def __init__(self, dim: int, hidden: int, *, dropout: float = 0.0, convolution: bool = False) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1) if convolution else nn.Linear(dim, hidden)
        self.fc2 = nn.Conv2d(hidden, dim, 1) if convolution else nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        hidden = self.dropout(channel_product(x, self.fc1, gelu=True))
        return self.dropout(channel_product(hidden, self.fc2))


class LocalBlock(nn.Module):
    """Local feature extraction (LFE): depthwise convolutions and a feed-forward layer (UniFormer's block).

    Args:
        dim: channels.
        mlp_ratio: hidden width of the feed-forward layer over `dim`.
        drop_path: probability of skipping a residual branch, per sample, in training.
        dropout: dropout rate inside the feed-forward layer.
    """

    def __init__(self, dim: int, *, mlp_ratio: float = 4, drop_path: float = 0.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.pos_embed = DepthwiseConv2d(dim, 3)
        self.norm1 = nn.BatchNorm2d(dim)
        self.conv1 = nn.Conv2d(dim, dim, 1)
        self.attn = DepthwiseConv2d(dim, 5)
        self.conv2 = nn.Conv2d(dim, dim, 1)
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = FeedForward(dim, round(dim * mlp_ratio), dropout=dropout, convolution=True)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape (B, dim, height, width) out."""
        x = x + self.pos_embed(x)
        local = self.attn(_first(channel_product(_last(self.norm1(x)), self.conv1)))
        x = x + self.drop_path(_first(channel_product(_last(local), self.conv2)))
        return x + self.drop_path(_first(self.mlp(_last(self.norm2(x)))))


class GlobalBlock(nn.Module):
    """Global feature extraction (GFE): MSLA and a feed-forward layer.

    Args:
        dim: channels.
        attn: the attention, an `MSLA` of the same width.
        mlp_ratio: hidden width of the feed-forward layer over `dim`.
        drop_path: probability of skipping a residual branch, per sample, in training.
        dropout: dropout rate inside the feed-forward layer.
    """

    def __init__(
        self, dim: int, attn: MSLA, *, mlp_ratio: float = 4, drop_path: float = 0.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.pos_embed = DepthwiseConv2d(dim, 3)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = attn
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = FeedForward(dim, round(dim * mlp_ratio), dropout=dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape (B, dim, height, width) out."""
        x = x + self.pos_embed(x)
        height, width = x.shape[-2:]
        tokens = map_to_tokens(x, "raster")
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), (height, width)))
        tokens = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return tokens_to_map(tokens, (height, width), "raster")


def _last(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H, W, C), a view."""
    return x.permute(0, 2, 3, 1)


def _first(x: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, C, H, W), a view."""
    return x.permute(0, 3, 1, 2)
