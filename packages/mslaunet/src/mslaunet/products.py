"""Matrix products over channels: the linear layers and 1x1 convolutions of the network, where most of its time goes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def channel_product(
    x: Tensor, layer: nn.Linear | nn.Conv2d, *, gelu: bool = False, add: Tensor | None = None
) -> Tensor:
    """A linear layer or a 1x1 convolution over the last axis, see `product`.

    Args:
        x: (..., in).
        layer: weights (out, in) or (out, in, 1, 1), bias (out,) or none.
        gelu: apply the exact GELU to the result.
        add: (..., out) to add to the result; not together with gelu.

    Returns:
        (..., out).

    Example:
        >>> channel_product(torch.ones(2, 5, 3), nn.Conv2d(3, 4, 1)).shape
        torch.Size([2, 5, 4])
    """
    return product(x, layer.weight.flatten(1), layer.bias, gelu=gelu, add=add)


def product(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, gelu: bool = False, add: Tensor | None = None
) -> Tensor:
    """Product x W^T + b over the last axis, with the exact GELU after it if asked for.

    Inference in float32 or bfloat16 on a CPU goes through oneDNN, which applies the GELU while it writes and is, on
    some processors, more than twice as fast as the product that torch prefers in float32. Training, other devices
    and dtypes, autocast and graphs (compile, export) take the ordinary operations; the results agree to rounding.

    Args:
        x: (..., in).
        weight: (out, in).
        bias: (out,) or none.
        gelu: apply GELU.
        add: (..., out) to add; not together with gelu.

    Returns:
        (..., out).
    """
    if _takes_onednn(x, weight):
        if add is not None:
            return torch.ops.mkldnn._linear_pointwise.binary(x, add, weight, bias, "add")
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu" if gelu else "none", [], "none")
    if torch.compiler.is_exporting():  # two axes: a runtime then adds the bias inside its matrix product
        y = F.linear(x.reshape(-1, x.shape[-1]), weight, bias).reshape(*x.shape[:-1], weight.shape[0])
    else:
        y = F.linear(x, weight, bias)
    if add is not None:
        return y + add
    return F.gelu(y) if gelu else y


def _takes_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN computes this product: plain inference on a CPU in a dtype it is fast in."""
    return (
        not torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype
        and x.dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()
        and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
        and not torch.is_autocast_enabled("cpu")
        and x.numel() > 0
    )
