"""The four-stage encoder, and any timm backbone in its place."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn

from ._shared.errors import ConfigError
from .layers import MSLA, GlobalBlock, LocalBlock, PatchEmbed

REDUCTIONS = (4, 8, 16, 32)  # strides of the four maps


class Encoder(nn.Module):
    """Four stages at strides 4, 8, 16, 32; `MSLAUNet` documents the arguments.

    Sub-modules `patch_embed1`, `blocks1` and so on are named as in the official state dict.

    Args:
        attention: arguments of every `MSLA` beside its width and heads.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: Sequence[int],
        depths: Sequence[int],
        *,
        head_dim: int,
        mlp_ratio: float,
        drop_path: float,
        dropout: float,
        attention: dict[str, Any],
    ) -> None:
        super().__init__()
        self.widths = tuple(embed_dims)
        last = max(sum(depths) - 1, 1)
        rates = iter(drop_path * i / last for i in range(sum(depths)))
        for stage, (dim, depth) in enumerate(zip(embed_dims, depths, strict=True), start=1):
            width_before = in_channels if stage == 1 else embed_dims[stage - 2]
            blocks = nn.ModuleList()
            for _ in range(depth):
                common = {"mlp_ratio": mlp_ratio, "drop_path": next(rates), "dropout": dropout}
                if stage <= 2:
                    blocks.append(LocalBlock(dim, **common))
                else:
                    blocks.append(GlobalBlock(dim, MSLA(dim, dim // head_dim, **attention), **common))
            self.add_module(f"patch_embed{stage}", PatchEmbed(width_before, dim, stride=4 if stage == 1 else 2))
            self.add_module(f"blocks{stage}", blocks)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image (B, C, height, width), multiples of 32, to the four stage maps, shallowest first."""
        maps, x = [], image
        for stage in range(1, 5):
            x = self.get_submodule(f"patch_embed{stage}")(x)
            for block in self.get_submodule(f"blocks{stage}").children():
                x = block(x)
            maps.append(x)
        return maps


class TimmEncoder(nn.Module):
    """The maps of a timm `features_only` backbone at strides 4, 8, 16 and 32, without weights.

    Args:
        name: a timm model name, such as "resnet34" or "convnext_tiny".
        in_channels: channels of the image.
        drop_path: stochastic depth rate; not every backbone has one.

    Raises:
        ConfigError: timm does not know the name, or the backbone has no maps at these strides.

    Example:
        >>> TimmEncoder("resnet10t", in_channels=1).widths
        (64, 128, 256, 512)
    """

    def __init__(self, name: str, in_channels: int, drop_path: float = 0.0) -> None:
        super().__init__()
        indices = _stage_indices(name)
        extra = {"drop_path_rate": drop_path} if drop_path else {}
        self.backbone = _create(name, in_chans=in_channels, out_indices=indices, **extra)
        self.widths = tuple(self.backbone.feature_info.channels())
        self.channels_first = getattr(self.backbone, "output_fmt", "NCHW") != "NHWC"

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image (B, C, height, width), multiples of 32, to the four stage maps, shallowest first."""
        maps = self.backbone(image)
        return maps if self.channels_first else [x.permute(0, 3, 1, 2) for x in maps]


def _stage_indices(name: str) -> tuple[int, ...]:
    """Which of the backbone's maps have the wanted strides; the last one of each."""
    from torch import device

    with device("meta"):
        strides = list(_create(name).feature_info.reduction())
    last = {stride: index for index, stride in enumerate(strides)}
    if missing := [stride for stride in REDUCTIONS if stride not in last]:
        raise ConfigError(
            f"encoder {name!r}: its maps have strides {strides}, and the decoder needs 4, 8, 16 and 32 (missing: "
            f"{missing}); take a pyramid such as resnet34, convnext_tiny or pvt_v2_b2"
        )
    return tuple(last[stride] for stride in REDUCTIONS)


def _create(name: str, **arguments: Any) -> Any:
    import timm

    if not timm.is_model(name):
        near = ", ".join(get_close_matches(name, timm.list_models(), n=3)) or "see timm.list_models()"
        raise ConfigError(f"encoder {name!r} is not a timm model; near: {near}")
    try:
        return timm.create_model(name, pretrained=False, features_only=True, **arguments)
    except (RuntimeError, TypeError, ValueError, AssertionError, AttributeError) as err:
        reason = str(err).partition("\n")[0] or type(err).__name__
        raise ConfigError(f"encoder {name!r}: timm cannot give its feature maps ({reason})") from err
