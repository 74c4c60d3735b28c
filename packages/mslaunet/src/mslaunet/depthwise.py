"""Depthwise convolutions that train fast on CPUs."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TILE = 3  # the kernel size whose weight gradient oneDNN computes fast


class DepthwiseConv2d(nn.Conv2d):
    """Depthwise convolution with bias that keeps the size, zero padding.

    On CPUs the gradient of kernels above 3 x 3 is put together from 3 x 3 tiles: oneDNN has a fast weight gradient
    for those only, and takes up to 50 times as long for a 5 x 5 kernel. Same sums, another order.

    Args:
        channels: channels in and out.
        kernel_size: odd.
    """

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W), same shape out."""
        if self.bias is None or not self._takes_tiles(x):
            return super().forward(x)
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):
            low = torch.get_autocast_dtype("cpu")
            x, weight, bias = x.to(low), weight.to(low), bias.to(low)
        return _TiledDepthwise.apply(x, weight, bias)

    def _takes_tiles(self, x: Tensor) -> bool:
        return (
            self.kernel_size[0] > TILE
            and x.device.type == "cpu"
            and torch.is_grad_enabled()
            and self.weight.requires_grad
            and not torch.compiler.is_compiling()
        )


class _TiledDepthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=x.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        to_input = None
        if ctx.needs_input_grad[0]:
            to_input = _backward(gradient, x, weight, weight.shape[-1] // 2, (True, False, False))[0]
        return to_input, _weight_gradient(gradient, x, weight), gradient.sum((0, 2, 3))


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Gradient (C, 1, k, k) of the kernel from its 3 x 3 tiles; the last one is aligned to the end."""
    size, (height, width) = weight.shape[-1], x.shape[-2:]
    padded = F.pad(x, (size // 2,) * 4)
    result = torch.empty_like(weight)
    tile = weight[:, :, :TILE, :TILE].contiguous()
    starts = sorted({*range(0, size - TILE, TILE), size - TILE})
    for i in starts:
        for j in starts:
            window = padded[:, :, i : i + height + TILE - 1, j : j + width + TILE - 1]
            part = _backward(gradient, window, tile, 0, (False, True, False))[1]
            result[:, :, i : i + TILE, j : j + TILE] = part
    return result


def _backward(gradient: Tensor, x: Tensor, weight: Tensor, padding: int, wanted: tuple[bool, bool, bool]) -> Any:
    """Torch's own backward of a depthwise convolution."""
    sizes = ([1, 1], [padding, padding], [1, 1], False, [0, 0], x.shape[1], list(wanted))
    return torch.ops.aten.convolution_backward(gradient, x, weight, [x.shape[1]], *sizes)
