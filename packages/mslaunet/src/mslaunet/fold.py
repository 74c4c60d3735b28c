"""A network for inference alone: everything that is linear in a row becomes one operation.

All folds are exact up to rounding: identity residuals go into the centre tap of the depthwise kernels; norms before a
product go into it; norms behind a convolution go into it (also past a doubling, whose weights sum to 1); the output
projection of the attention, the scale weights and the fusion convolution become one C x C matrix per MSLA. The
doublings are already last in `decoder`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .decoder import Climb, ConvNormAct
from .depthwise import DepthwiseConv2d
from .layers import ACTIVATIONS, MSLA, Activation, GlobalBlock, LocalBlock, map_to_tokens, tokens_to_map
from .products import channel_product


@torch.no_grad()
def fold(model: nn.Module) -> nn.Module:
    """A copy of an `MSLAUNet` in evaluation mode with all exact folds done; its parameters take no gradient.

    Example:
        >>> from mslaunet import MSLAUNet
        >>> model, x = MSLAUNet.variant("tiny", num_classes=2).eval(), torch.randn(1, 3, 40, 50)
        >>> torch.allclose(fold(model)(x), model(x), atol=1e-4)
        True
    """
    model = copy.deepcopy(model).eval()
    replaced: dict[type, Any] = {
        LocalBlock: FoldedLocalBlock,
        GlobalBlock: FoldedGlobalBlock,
        ConvNormAct: _fold_conv_norm_act,
        Climb: _fold_climb,
    }
    for name, module in list(model.named_modules()):
        if type(module) in replaced:
            parent = model.get_submodule(name.rpartition(".")[0])
            parent.register_module(name.rpartition(".")[2], replaced[type(module)](module))
    return model.requires_grad_(False)


class FoldedLocalBlock(nn.Module):
    """`LocalBlock` without norms and with two residuals inside other operations."""

    def __init__(self, block: LocalBlock) -> None:
        super().__init__()
        self.pos_embed = _with_identity(block.pos_embed)
        self.conv1 = _after_batch_norm(block.norm1, block.conv1)
        self.attn = block.attn
        self.conv2 = block.conv2
        self.fc1 = _after_batch_norm(block.norm2, block.mlp.fc1)
        self.fc2 = block.mlp.fc2

    def forward(self, x: Tensor) -> Tensor:
        """Same shape (B, dim, height, width) out."""
        x = self.pos_embed(x).permute(0, 2, 3, 1)
        local = self.attn(channel_product(x, self.conv1).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = channel_product(local, self.conv2, add=x)
        x = channel_product(channel_product(x, self.fc1, gelu=True), self.fc2, add=x)
        return x.permute(0, 3, 1, 2)


class FoldedGlobalBlock(nn.Module):
    """`GlobalBlock` with the second norm's weights in the feed-forward layer and a `FoldedMSLA`."""

    def __init__(self, block: GlobalBlock) -> None:
        super().__init__()
        self.pos_embed = _with_identity(block.pos_embed)
        self.norm1 = block.norm1
        self.attn = FoldedMSLA(block.attn)
        self.norm2 = nn.LayerNorm(block.norm2.normalized_shape, block.norm2.eps, elementwise_affine=False)
        self.fc1 = _after_affine(block.norm2.weight, block.norm2.bias, block.mlp.fc1)
        self.fc2 = block.mlp.fc2

    def forward(self, x: Tensor) -> Tensor:
        """Same shape (B, dim, height, width) out."""
        x = self.pos_embed(x)
        height, width = x.shape[-2:]
        tokens = map_to_tokens(x, "raster")
        tokens = self.attn(self.norm1(tokens), (height, width), tokens)
        hidden = channel_product(self.norm2(tokens), self.fc1, gelu=True)
        return tokens_to_map(channel_product(hidden, self.fc2, add=tokens), (height, width), "raster")


# Up to this many tokens one depthwise call with all kernels padded to the largest is faster than one per kernel.
ONE_CALL_TOKENS = 400


class FoldedMSLA(nn.Module):
    """`MSLA` with projection, scale weights and fusion in one matrix, and residuals in the depthwise kernels."""

    def __init__(self, msla: MSLA) -> None:
        super().__init__()
        self.layout = msla.token_layout
        scales: list[Any] = [msla.get_submodule(name) for name in msla.branches]
        branches = [_with_identity(scale.depthwise) for scale in scales]
        self.sizes = [branch.kernel_size[0] for branch in branches]
        self.depthwise = _padded_to_largest(branches)
        self.activation: Activation = scales[0].activation
        self.attentions = nn.ModuleList(_attentions(msla))
        self.fusion = _fused_projection(msla, len(self.sizes))
        for attention in self.attentions:
            del attention.proj

    def forward(self, tokens: Tensor, grid: tuple[int, int], residual: Tensor) -> Tensor:
        """Tokens (B, N, C) to MSLA(tokens) + residual, (B, N, C)."""
        planes = tokens_to_map(tokens, grid, self.layout)
        local = map_to_tokens(ACTIVATIONS[self.activation](self._convolve(planes)), "raster")
        groups = local.unflatten(2, (len(self.sizes), -1)).transpose(1, 2)  # (B, G, N, C / G)
        attentions: list[Any] = list(self.attentions)
        if len(attentions) == 1:
            mixed = attentions[0].attend(groups)
        else:
            pairs = zip(attentions, groups.unbind(1), strict=True)
            mixed = torch.stack([attention.attend(x) for attention, x in pairs], dim=1)
        mixed = mixed.transpose(1, 2).flatten(2)  # (B, N, C): what one position has in every plane
        if self.layout == "raster":
            return channel_product(mixed, self.fusion, add=residual)
        fused = channel_product(mixed, self.fusion).transpose(1, 2).reshape(planes.shape)
        return map_to_tokens(fused, self.layout) + residual

    def _convolve(self, planes: Tensor) -> Tensor:
        """All depthwise kernels, in one call or in one per kernel size."""
        height, width = planes.shape[-2:]
        if self.layout == "legacy" or torch.compiler.is_exporting() or height * width <= ONE_CALL_TOKENS:
            return self.depthwise(planes)
        outputs, largest = [], max(self.sizes)
        merged: Any = self.depthwise
        weights, biases = (x.chunk(len(self.sizes)) for x in (merged.weight, merged.bias))
        for x, k, weight, bias in zip(planes.chunk(len(self.sizes), 1), self.sizes, weights, biases, strict=True):
            kernel = weight.narrow(2, (largest - k) // 2, k).narrow(3, (largest - k) // 2, k)
            outputs.append(F.conv2d(x, kernel, bias, padding=k // 2, groups=x.shape[1]))
        return torch.cat(outputs, dim=1)


def _padded_to_largest(convs: Sequence[Any]) -> nn.Conv2d:
    """Depthwise convolutions of several kernel sizes as one of the largest size, zeros around the smaller."""
    largest = max(conv.kernel_size[0] for conv in convs)
    folded = DepthwiseConv2d(sum(conv.out_channels for conv in convs), largest)
    padded = [F.pad(conv.weight, ((largest - conv.kernel_size[0]) // 2,) * 4) for conv in convs]
    folded.weight = nn.Parameter(torch.cat(padded))
    folded.bias = nn.Parameter(torch.cat([conv.bias for conv in convs]))
    return folded


def _attentions(msla: MSLA) -> list[Any]:
    """The one attention of all scales, or those of each."""
    return (
        list(msla.linear_attention)
        if isinstance(msla.linear_attention, nn.ModuleList)
        else [msla.linear_attention]
    )


def _fused_projection(msla: MSLA, scales: int) -> nn.Linear:
    """fusion(concat_g(scale_g (P_g y_g + p_g))) as one linear layer on concat_g(y_g)."""
    attentions = _attentions(msla)
    fusion: Any = msla.final_conv
    bias, parts = fusion.bias.clone(), []
    columns = fusion.weight.flatten(1).chunk(scales, dim=1)
    for i, (block, scale) in enumerate(zip(columns, msla.scale_weights, strict=True)):
        proj = attentions[i % len(attentions)].proj
        parts.append(block @ (scale * proj.weight))
        bias += block @ (scale * proj.bias)
    return _linear(torch.cat(parts, dim=1), bias)


def _fold_conv_norm_act(module: ConvNormAct) -> nn.Module:
    conv, norm = module.get_submodule("0"), module.get_submodule("1")
    module.register_module("0", _before_batch_norm(conv, norm))
    module.register_module("1", nn.Identity())
    return module


def _fold_climb(module: Climb) -> nn.Module:
    for i in module.steps:
        conv, norm = module.get_submodule(str(i)), module.get_submodule(str(i + 1))
        module.register_module(str(i), _before_batch_norm(conv, norm))
        module.register_module(str(i + 1), nn.Identity())
    return module


def _with_identity(conv: nn.Conv2d) -> nn.Conv2d:
    """depthwise(x) + x as one depthwise convolution."""
    folded = copy.deepcopy(conv)
    centre = conv.kernel_size[0] // 2
    folded.weight[:, :, centre, centre] += 1
    return folded


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Scale and shift of a batch norm in evaluation, per channel."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def _after_batch_norm(norm: nn.BatchNorm2d, conv: Any) -> nn.Linear:
    """conv(norm(x)) of a 1x1 convolution as one linear layer."""
    return _after_affine(*_affine(norm), conv)


def _after_affine(scale: Tensor, shift: Tensor, layer: Any) -> nn.Linear:
    """layer(scale * x + shift) as one linear layer."""
    weight = layer.weight.flatten(1)
    return _linear(weight * scale, layer.bias + weight @ shift)


def _before_batch_norm(conv: Any, norm: Any) -> nn.Conv2d:
    """norm(conv(x)) as one convolution."""
    scale, shift = _affine(norm)
    folded = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, padding=conv.padding)
    folded.weight = nn.Parameter(conv.weight * scale[:, None, None, None])
    folded.bias = nn.Parameter(shift)
    return folded


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer
