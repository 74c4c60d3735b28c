"""The official decoders of Stage II in plain loops: the parity reference.

Written from the written specification alone (section 1.2 of the CM-CGNS spec, with D2 to D8 of 1.3), like
`reference_official.py`, whose conventions for weights hold here too. The masks are arguments; dropout is off.
"""

import math

import torch
from tests.cmcgns.reference_official import Weights, linear, multihead_attention
from torch import Tensor


def part(weights: Weights, prefix: str) -> Weights:
    """The entries below `prefix.`, without it."""
    return {key[len(prefix) + 1 :]: value for key, value in weights.items() if key.startswith(prefix + ".")}


def drop_channels(patches: Tensor, keep: Tensor) -> Tensor:
    """ResNet path (D2): patches (B, P, D) times one 0/1 draw per channel (B, D), no rescaling."""
    return torch.stack([torch.stack([row * keep[b] for row in patches[b]]) for b in range(len(patches))])


def drop_tokens(patches: Tensor, keep: Tensor) -> Tensor:
    """ViT path: patches (B, P, D) times one 0/1 draw per token (B, P), survivors doubled."""
    return torch.stack(
        [torch.stack([2.0 * keep[b, p] * row for p, row in enumerate(patches[b])]) for b in range(len(patches))]
    )


def convolve(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """3 x 3 convolution with one pixel of zeros around: (C, H, W), (O, C, 3, 3), (O,) -> (O, H, W)."""
    height, width = image.shape[1:]
    padded = image.new_zeros(len(image), height + 2, width + 2)
    padded[:, 1:-1, 1:-1] = image
    out = bias[:, None, None].expand(len(bias), height, width)
    for r in range(3):
        for c in range(3):
            out = out + torch.einsum("oc,chw->ohw", weight[:, :, r, c], padded[:, r : r + height, c : c + width])
    return out


def double(image: Tensor) -> Tensor:
    """Bilinear x2 without aligned corners, one axis after the other: (C, H, W) -> (C, 2H, 2W)."""

    def one_axis(x: Tensor) -> Tensor:
        size, lines = x.shape[-1], []
        for o in range(2 * size):
            position = max((o + 0.5) / 2 - 0.5, 0.0)
            low = int(position)
            high, share = min(low + 1, size - 1), position - low
            lines.append((1 - share) * x[..., low] + share * x[..., high])
        return torch.stack(lines, dim=-1)

    return one_axis(one_axis(image).transpose(1, 2)).transpose(1, 2)


def decode(grid: Tensor, weights: Weights) -> Tensor:
    """Convolution, ReLU and x2 per entry `convs.<i>`, Tanh at the end (D6): (C, h, w) -> (3, H, W) in [0, 1)."""
    steps = sum(key.startswith("convs.") and key.endswith(".weight") for key in weights)
    for i in range(steps):
        grid = double(torch.relu(convolve(grid, weights[f"convs.{i}.weight"], weights[f"convs.{i}.bias"])))
    return torch.tanh(grid)


def as_grid(tokens: Tensor) -> Tensor:
    """Tokens (P, D) of a square grid in reading order -> (D, h, h)."""
    side = math.isqrt(len(tokens))
    return torch.stack([torch.stack([tokens[r * side + c] for c in range(side)]) for r in range(side)]).permute(
        2, 0, 1
    )


def resnet_decoder(patches: Tensor, conditioned: Tensor, keep: Tensor, weights: Weights) -> Tensor:
    """Channel mask, [f^I | f^{R->I}], convolutions: (B, P, D), (B, P, D), keep (B, D) -> (B, 3, 32h, 32h).

    Weights: `convs.0.weight` (512, 2D, 3, 3), then 256, 128, 64, 3 channels, each with its bias.
    """
    masked = drop_channels(patches, keep)
    pairs = zip(masked, conditioned, strict=True)
    return torch.stack([decode(torch.cat([as_grid(own), as_grid(other)]), weights) for own, other in pairs])


def across(query: Tensor, memory: Tensor, weights: Weights, heads: int, batch_first: bool) -> Tensor:
    """Attention of (B, P, D) tensors; the official one (D4) takes axis 0 as the sequence: patients mix."""
    if batch_first:
        pairs = zip(query, memory, strict=True)
        return torch.stack([multihead_attention(q, m, weights, heads) for q, m in pairs])
    columns = [multihead_attention(query[:, p], memory[:, p], weights, heads) for p in range(query.shape[1])]
    return torch.stack(columns, dim=1)


def layer_norm(x: Tensor, weights: Weights, name: str, eps: float = 1e-5) -> Tensor:
    """Layer norm of the last axis."""
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + eps)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def decoder_layer(
    x: Tensor, memory: Tensor, weights: Weights, heads: int = 8, batch_first: bool = False
) -> Tensor:
    """Post-norm transformer decoder layer without dropout on (B, P, D); keys of `nn.TransformerDecoderLayer`."""
    x = layer_norm(x + across(x, x, part(weights, "self_attn"), heads, batch_first), weights, "norm1")
    x = layer_norm(x + across(x, memory, part(weights, "multihead_attn"), heads, batch_first), weights, "norm2")
    hidden = torch.relu(linear(x, weights, "linear1"))
    return layer_norm(x + linear(hidden, weights, "linear2"), weights, "norm3")


def vit_decoder(
    patches: Tensor,
    conditioned: Tensor,
    keep: Tensor,
    weights: Weights,
    heads: int = 8,
    passes: int = 6,
    batch_first: bool = False,
) -> Tensor:
    """Token mask, fusion, one shared layer six times, convolutions: keep (B, P) -> (B, 3, 16h, 16h).

    Weights: `fusion.*` (attention), `positions` (P, D), `layer.*` (decoder layer, ffn 2048),
    `convs.0.weight` (512, D, 3, 3), then 256, 128, 3 channels.
    """
    x = across(drop_tokens(patches, keep), conditioned, part(weights, "fusion"), heads, batch_first)
    x = x + weights["positions"]
    for _ in range(passes):
        x = decoder_layer(x, x, part(weights, "layer"), heads, batch_first)
    return torch.stack([decode(as_grid(tokens), weights) for tokens in x])


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """10 * mean absolute error over all pixels of (B, 3, H, W) in [-1, 1]: a scalar."""
    return 10.0 * (output - target).abs().sum() / output.numel()
