"""MSLAU-Net with the operations in the order of the official code: what the bench measures ratios against.

Written from the specification alone (its section 1.2), clean room, on the ordinary eager modules of torch: one call
per scale of the attention, norms and residual sums where they are written, one upsampling per level of the head.
Parameters have the official names, so weights go to and from `mslaunet.MSLAUNet(preset="official")`; a test compares
the logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNELS = (3, 5, 7, 9)
HEAD_DIM = 64


def cbr(before: int, after: int, kernel: int) -> list[nn.Module]:
    """Convolution without bias, batch norm, ReLU."""
    return [
        nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]


def double(x: Tensor) -> Tensor:
    """Bilinear upsampling by two."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class PatchEmbed(nn.Module):
    """Strided convolution, LayerNorm over channels on tokens, back to a contiguous map."""

    def __init__(self, before: int, dim: int, stride: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.proj = nn.Conv2d(before, dim, stride, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, dim, H / stride, W / stride)."""
        x = self.proj(x)
        batch, _, height, width = x.shape
        x = self.norm(x.flatten(2).transpose(1, 2))
        return x.reshape(batch, height, width, -1).permute(0, 3, 1, 2).contiguous()


class ConvMlp(nn.Module):
    """Feed-forward layer of 1x1 convolutions."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(dim, 4 * dim, 1)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(4 * dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        return self.fc2(self.act(self.fc1(x)))


class LinearMlp(nn.Module):
    """Feed-forward layer on tokens."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        return self.fc2(self.act(self.fc1(x)))


class LocalBlock(nn.Module):
    """LFE."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm1 = nn.BatchNorm2d(dim)
        self.conv1 = nn.Conv2d(dim, dim, 1)
        self.conv2 = nn.Conv2d(dim, dim, 1)
        self.attn = nn.Conv2d(dim, dim, 5, padding=2, groups=dim)
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = ConvMlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        return x + self.mlp(self.norm2(x))


class Branch(nn.Module):
    """Depthwise convolution, residual, ReLU."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, kernel, padding=kernel // 2, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        return F.relu(self.depthwise(x) + x)


class LinearAttention(nn.Module):
    """Softmax of K over channels and of Q over tokens; the heads are merged by re-reading the buffer."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, dim), same shape out."""
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        context = k.softmax(dim=-1).transpose(-2, -1) @ v
        out = q.softmax(dim=-2) @ context
        return self.proj(out.reshape(batch, tokens, dim))


class MSLA(nn.Module):
    """Four branches, one call of the shared attention for each."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        for k in KERNELS:
            self.add_module(f"dw_conv_{k}x{k}", Branch(dim // 4, k))
        self.linear_attention = LinearAttention(dim // 4, heads)
        self.scale_weights = nn.Parameter(torch.ones(4))
        self.final_conv = nn.Conv2d(dim, dim, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, dim) of a square grid, same shape out."""
        batch, count, dim = tokens.shape
        side = int(count**0.5)
        groups = tokens.reshape(batch, dim, side, side).chunk(4, dim=1)
        outputs = []
        for i, (k, group) in enumerate(zip(KERNELS, groups, strict=True)):
            y = self.get_submodule(f"dw_conv_{k}x{k}")(group)
            y = self.linear_attention(y.flatten(2).transpose(1, 2))
            y = y.transpose(1, 2).reshape(batch, dim // 4, side, side)
            outputs.append(y * self.scale_weights[i])
        return self.final_conv(torch.cat(outputs, dim=1)).reshape(batch, count, dim)


class GlobalBlock(nn.Module):
    """GFE."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = MSLA(dim, dim // HEAD_DIM)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = LinearMlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        x = x + self.pos_embed(x)
        shape = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attn(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(shape)


class Encoder(nn.Module):
    """Four stages; the maps of all."""

    def __init__(self, dims: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        for stage, (dim, depth) in enumerate(zip(dims, depths, strict=True), start=1):
            before = 3 if stage == 1 else dims[stage - 2]
            self.add_module(f"patch_embed{stage}", PatchEmbed(before, dim, 4 if stage == 1 else 2))
            block = LocalBlock if stage < 3 else GlobalBlock
            self.add_module(f"blocks{stage}", nn.ModuleList(block(dim) for _ in range(depth)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> four maps, shallowest first."""
        maps = []
        for stage in range(1, 5):
            x = self.get_submodule(f"patch_embed{stage}")(x)
            for block in self.get_submodule(f"blocks{stage}").children():
                x = block(x)
            maps.append(x)
        return maps


class Upsample(nn.Module):
    """`double` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2H, 2W)."""
        return double(x)


class Neck(nn.Module):
    """Sums from shallow to deep at stride 4."""

    def __init__(self, dims: Sequence[int], channels: int) -> None:
        super().__init__()
        for stage in range(2, 5):
            widths = [*reversed(dims[1:stage]), channels]
            layers: list[nn.Module] = []
            for before, after in pairwise(widths):
                layers += [*cbr(before, after, 1), Upsample()]
            self.add_module(f"mla_p{6 - stage}", nn.Sequential(*layers))
        for level in range(2, 6):
            self.add_module(f"mla_p{level}_3x3", nn.Sequential(*cbr(channels, channels, 3)))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Four stage maps -> four maps at stride 4."""
        total = maps[0]
        sums = [total]
        for stage in range(2, 5):
            total = total + self.get_submodule(f"mla_p{6 - stage}")(maps[stage - 1])
            sums.append(total)
        return [self.get_submodule(f"mla_p{5 - i}_3x3")(x) for i, x in enumerate(sums)]


class Head(nn.Module):
    """A convolution and an upsampling per level, then their concatenation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for level in range(2, 6):
            self.add_module(f"head{level}", nn.Sequential(*cbr(channels, channels, 3)))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Four maps at stride 4 -> (B, 4 * channels, 2H, 2W)."""
        return torch.cat([double(self.get_submodule(f"head{i}")(x)) for i, x in enumerate(maps, start=2)], dim=1)


class OfficialOrder(nn.Module):
    """The published size: square images of 32n pixels, 1 or 3 channels."""

    def __init__(
        self, num_classes: int, dims: Sequence[int] = (64, 128, 256, 512), depths: Sequence[int] = (4, 8, 11, 5)
    ) -> None:
        super().__init__()
        self.encoder = Encoder(dims, depths)
        self.conv_mla = Neck(dims, dims[0])
        self.mlahead = Head(dims[0])
        self.seg = nn.Conv2d(4 * dims[0], num_classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1 or 3, S, S) -> logits (B, K, S, S)."""
        size = image.shape[-1]
        if image.shape[1] == 1:
            image = image.repeat(1, 3, 1, 1)
        logits = self.seg(self.mlahead(self.conv_mla(self.encoder(image))))
        return F.interpolate(logits, size=(size, size), mode="bilinear", align_corners=True)
