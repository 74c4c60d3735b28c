"""The exemplar encoder of Paint-by-Example: a picture of the garment becomes one token of context."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

_WRAPPER = (
    "model.vision_model."  # the backbone's prefix in published files; recent transformers have no such level
)


class Mapper(nn.Module):
    """(layers + 1) // 5 transformer blocks of one head at the backbone's width."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            BasicTransformerBlock(width, 1, width, activation_fn="gelu", attention_bias=True)
            for _ in range((layers + 1) // 5)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, width) -> (B, N, width)."""
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


class ExemplarEncoder(nn.Module):
    """CLIP's pooled vector through blocks, layer norm and a projection, as in Paint-by-Example (CVPR 2023, 3.2).

    Own module because diffusers has this class only in a pipeline that is deprecated. Names of the parameters are the
    published ones: `model.*`, `mapper.blocks.*`, `final_layer_norm`, `proj_out`, `uncond_vector`.

    Attributes:
        config: of the CLIP vision backbone.
        context_dim: width of the token, that of the UNet's cross attention.
    """

    def __init__(self, config: CLIPVisionConfig, context_dim: int) -> None:
        super().__init__()
        self.config, self.context_dim = config, context_dim
        self.model = CLIPVisionModel(config)
        self.mapper = Mapper(config.num_hidden_layers, config.hidden_size)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size)
        self.proj_out = nn.Linear(config.hidden_size, context_dim)
        self.uncond_vector = nn.Parameter(torch.randn(1, 1, context_dim))

    def pooled(self, ref: Tensor) -> Tensor:
        """What CLIP sees in pictures.

        Args:
            ref: (B, 3, S, S), normalised by CLIP's mean and deviation; S is `config.image_size`.

        Returns:
            (B, width).
        """
        vectors: Tensor = self.model(pixel_values=ref).pooler_output
        return vectors

    def token(self, pooled: Tensor, drop: Tensor | None = None) -> Tensor:
        """The context of the UNet.

        Args:
            pooled: (B, width).
            drop: (B,) bool; these samples get the learned unconditional vector instead.

        Returns:
            (B, 1, context_dim).
        """
        token: Tensor = self.proj_out(self.final_layer_norm(self.mapper(pooled[:, None])))
        if drop is None:
            return token
        return torch.where(drop[:, None, None], self.uncond_vector.to(token.dtype), token)

    def forward(self, ref: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, 1, context_dim)."""
        return self.token(self.pooled(ref))

    def mapping(self) -> nn.ModuleDict:
        """The parts after the backbone that have weights of their own, without the unconditional vector."""
        return nn.ModuleDict(
            {"mapper": self.mapper, "final_layer_norm": self.final_layer_norm, "proj_out": self.proj_out}
        )


def from_published(tensors: Mapping[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """Names of a published file as this module has them; position numbers, which are no weights, are left out.

    Args:
        tensors: of the file.
        own: names of the module, which depend on the version of transformers.
    """
    named = {
        f"model.{name.removeprefix(_WRAPPER)}" if name.startswith(_WRAPPER) and name not in own else name: tensor
        for name, tensor in tensors.items()
    }
    return {name: tensor for name, tensor in named.items() if not name.endswith("position_ids")}


def to_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `from_published`, so that other programs find the names that they know."""
    return {
        f"{_WRAPPER}{name.removeprefix(_WRAPPER).removeprefix('model.')}"
        if name.startswith("model.")
        else name: value
        for name, value in tensors.items()
    }
