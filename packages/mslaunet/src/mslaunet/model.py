"""MSLAU-Net: four-stage encoder with multi-scale linear attention, light multi-level decoder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from timm.layers import trunc_normal_
from torch import Tensor, nn

from ._shared.errors import ConfigError, DataError
from .layers import (
    MSLA,
    GlobalBlock,
    HeadMerge,
    LocalBlock,
    PatchEmbed,
    SoftmaxAxes,
    TokenLayout,
    conv_bn_relu,
    require_choice,
)

Aggregation = Literal["topdown", "official"]

STRIDE = 32  # pixels per token of the deepest stage

# What each preset computes. Parameter names and shapes are the same in all, so weights convert freely.
PRESETS: dict[str, dict[str, Any]] = {
    "official": {
        "token_layout": "legacy",
        "head_merge": "legacy",
        "softmax": "swapped",
        "aggregation": "official",
    },
    "corrected": {
        "token_layout": "raster",
        "head_merge": "concat",
        "softmax": "efficient",
        "aggregation": "topdown",
    },
    "raster-min": {
        "token_layout": "raster",
        "head_merge": "legacy",
        "softmax": "swapped",
        "aggregation": "official",
    },
}

# Constructor arguments of the sizes. "base" is the published one; the others are ours, for CPUs and small data.
VARIANTS: dict[str, dict[str, Any]] = {
    "tiny": {
        "embed_dims": (16, 32, 64, 128),
        "depths": (1, 1, 2, 1),
        "head_dim": 16,
        "mlp_ratio": 3,
        "decoder_channels": 16,
    },
    "small": {"embed_dims": (32, 64, 128, 256), "depths": (2, 2, 4, 2), "head_dim": 32, "decoder_channels": 32},
    "base": {"embed_dims": (64, 128, 256, 512), "depths": (4, 8, 11, 5), "head_dim": 64, "decoder_channels": 64},
}


class Encoder(nn.Module):
    """Four stages at strides 4, 8, 16, 32; `MSLAUNet` documents the arguments.

    Stages 1 and 2 are made of `LocalBlock`, stages 3 and 4 of `GlobalBlock`.
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
    """

    def __init__(
        self, embed_dims: Sequence[int], channels: int, *, aggregation: Aggregation, align_corners: bool
    ) -> None:
        super().__init__()
        self.aggregation: Aggregation = aggregation
        for stage in range(1, 5):
            name = f"mla_p{6 - stage}"
            layers: list[nn.Module] = []
            # widths on the way from this stage up to stride 4, for stage 4: c4, c3, c2, channels
            widths = [*reversed(embed_dims[1:stage]), channels]
            for before, after in pairwise(widths):
                layers += [*conv_bn_relu(before, after, 1), Doubling(align_corners)]
            if stage == 1 and embed_dims[0] != channels:
                layers = conv_bn_relu(embed_dims[0], channels, 1)
            self.add_module(name, nn.Sequential(*layers))
            self.add_module(f"{name}_3x3", nn.Sequential(*conv_bn_relu(channels, channels, 3)))

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
    """Four 3x3 convolutions, one per level, concatenated and doubled in size."""

    def __init__(self, channels: int, *, align_corners: bool) -> None:
        super().__init__()
        for level in range(2, 6):
            self.add_module(f"head{level}", nn.Sequential(*conv_bn_relu(channels, channels, 3)))
        self.upsample = Doubling(align_corners)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Four maps (B, channels, h, w), shallowest first, to (B, 4 * channels, 2 * h, 2 * w)."""
        levels = [self.get_submodule(f"head{level}")(x) for level, x in enumerate(maps, start=2)]
        return self.upsample(torch.cat(levels, dim=1))


class Doubling(nn.Upsample):
    """Bilinear upsampling by two."""

    def __init__(self, align_corners: bool) -> None:
        super().__init__(scale_factor=2, mode="bilinear", align_corners=align_corners)


class MSLAUNet(nn.Module):
    """MSLAU-Net segmentation network (arXiv 2505.18823): image in, one logit per class and pixel out.

    The default preset is the design as described in second-hand sources, not verified against the paper's text;
    "official" computes what the official code computes, so that its weights can be used; "raster-min" only repairs
    the token layout. All presets have the same parameters, named as in the official state dict. See PARITY.md.

    Args:
        num_classes: classes K, background included.
        in_channels: channels C of the image, any number.
        preset: "corrected", "official" or "raster-min"; sets the four switches below.
        embed_dims: widths of the four stages; those of stages 3 and 4 are multiples of head_dim.
        depths: blocks of the four stages.
        head_dim: width over heads, a multiple of len(kernel_sizes); a head inside a scale has
            head_dim / len(kernel_sizes) channels.
        mlp_ratio: hidden width of the feed-forward layers over the stage width.
        kernel_sizes: depthwise kernels of MSLA, odd and distinct.
        decoder_channels: width of the decoder.
        token_layout: overrides the preset: "raster" or "legacy", see `layers.tokens_to_map`.
        head_merge: overrides the preset: "concat" or "legacy", see `layers.linear_attention`.
        softmax: overrides the preset: "efficient" or "swapped", see `layers.linear_attention`.
        aggregation: overrides the preset: "topdown" or "official", see `Neck`.
        align_corners: convention of all bilinear resizing. True is official, and its weights depend on it; False
            makes the resizing independent of the image size, and the network equivariant to shifts by 32 pixels.
        drop_path: stochastic depth rate of the last block, rising linearly from 0; in [0, 1).
        dropout: dropout rate inside the feed-forward layers, in [0, 1).
        trained_size: (height, width) in pixels that the weights were trained at, if known. The legacy switches tie
            weights to that size: another one gives a UserWarning.

    Attributes:
        config: the arguments as a JSON-able dict; `MSLAUNet(**model.config)` rebuilds the network.

    Raises:
        ConfigError: an argument is out of range, does not divide, or is unknown.

    Example:
        >>> model = MSLAUNet.variant("tiny", num_classes=2, in_channels=1).eval()
        >>> model(torch.zeros(1, 1, 50, 70)).shape
        torch.Size([1, 2, 50, 70])
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        preset: str = "corrected",
        *,
        embed_dims: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (4, 8, 11, 5),
        head_dim: int = 64,
        mlp_ratio: float = 4,
        kernel_sizes: Sequence[int] = (3, 5, 7, 9),
        decoder_channels: int = 64,
        token_layout: TokenLayout | None = None,
        head_merge: HeadMerge | None = None,
        softmax: SoftmaxAxes | None = None,
        aggregation: Aggregation | None = None,
        align_corners: bool = True,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        trained_size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if preset not in PRESETS:
            raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
        given = {
            "token_layout": token_layout,
            "head_merge": head_merge,
            "softmax": softmax,
            "aggregation": aggregation,
        }
        switches = PRESETS[preset] | {name: value for name, value in given.items() if value is not None}
        require_choice("aggregation", switches["aggregation"], Aggregation)
        self.config: dict[str, Any] = {
            "num_classes": num_classes,
            "in_channels": in_channels,
            "preset": preset,
            "embed_dims": list(embed_dims),
            "depths": list(depths),
            "head_dim": head_dim,
            "mlp_ratio": mlp_ratio,
            "kernel_sizes": list(kernel_sizes),
            "decoder_channels": decoder_channels,
            **switches,
            "align_corners": align_corners,
            "drop_path": drop_path,
            "dropout": dropout,
            "trained_size": None if trained_size is None else list(trained_size),
        }
        _check_sizes(self.config)
        attention = {name: switches[name] for name in ("token_layout", "head_merge", "softmax")}
        self.encoder = Encoder(
            in_channels,
            embed_dims,
            depths,
            head_dim=head_dim,
            mlp_ratio=mlp_ratio,
            drop_path=drop_path,
            dropout=dropout,
            attention={"kernel_sizes": kernel_sizes, **attention},
        )
        self.conv_mla = Neck(
            embed_dims, decoder_channels, aggregation=switches["aggregation"], align_corners=align_corners
        )
        self.mlahead = Head(decoder_channels, align_corners=align_corners)
        self.seg = nn.Conv2d(4 * decoder_channels, num_classes, 3, padding=1)
        self.apply(_initialise)

    @classmethod
    def variant(
        cls, name: str, num_classes: int, in_channels: int = 3, preset: str = "corrected", **arguments: Any
    ) -> MSLAUNet:
        """Build a named size: "tiny" (0.3 M parameters), "small" (2.3 M) or "base" (21.9 M, as published).

        Args:
            name: key of `VARIANTS`.
            num_classes: classes, background included.
            in_channels: channels of the image.
            preset: as in the constructor.
            arguments: other constructor arguments; they override the variant's.

        Raises:
            ConfigError: unknown variant, or an argument that the constructor refuses.
        """
        if name not in VARIANTS:
            raise ConfigError(f"variant must be one of {', '.join(VARIANTS)}, got {name!r}")
        return cls(num_classes, in_channels, preset, **(VARIANTS[name] | arguments))

    def forward(self, image: Tensor) -> Tensor:
        """Segment a batch of images of any size.

        Height and width are padded to multiples of 32 by repeating the last row and column; the logits are cropped
        back.

        Args:
            image: (B, C, height, width) floating point, scaled as in training.

        Returns:
            Logits (B, K, height, width), not normalised.

        Raises:
            DataError: the image has another shape.
            ConfigError: in training, the deepest map holds one value per channel, so batch norm has no variance.
        """
        channels = self.config["in_channels"]
        if image.ndim != 4 or image.shape[1] != channels or 0 in image.shape:
            raise DataError(f"expected an image (B, {channels}, height, width), got {tuple(image.shape)}")
        height, width = image.shape[-2:]
        image = F.pad(image, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        padded = (image.shape[-2], image.shape[-1])
        if self.training and image.shape[0] == 1 and padded == (STRIDE, STRIDE):
            raise ConfigError(
                f"training needs at least two samples or a side above {STRIDE} pixels for batch norm, "
                f"got one sample of {height} x {width}"
            )
        self._warn_if_foreign(padded)
        features = self.mlahead(self.conv_mla(self.encoder(image)))
        logits = F.interpolate(
            self.seg(features), size=padded, mode="bilinear", align_corners=self.config["align_corners"]
        )
        return logits[..., :height, :width]

    def _warn_if_foreign(self, padded: tuple[int, int]) -> None:
        """Legacy buffers are re-read by grid size: at another size the filters apply to other things."""
        trained = self.config["trained_size"]
        legacy = [name for name in ("token_layout", "head_merge") if self.config[name] == "legacy"]
        if trained and legacy and padded != tuple(side + -side % STRIDE for side in trained):
            warnings.warn(
                f"{' and '.join(legacy)} legacy: these weights belong to {trained[0]} x {trained[1]} pixels, got "
                f"{padded[0]} x {padded[1]}; resize the image, or expect other results",
                UserWarning,
                stacklevel=5,  # the caller of the module, past torch's two frames
            )


def _check_sizes(config: dict[str, Any]) -> None:
    """Raise ConfigError with the value and the remedy for sizes that cannot be built."""
    for name in ("num_classes", "in_channels", "decoder_channels", "head_dim"):
        if config[name] < 1:
            raise ConfigError(f"{name} must be at least 1, got {config[name]}")
    for name in ("embed_dims", "depths"):
        if len(config[name]) != 4 or min(config[name]) < 1:
            raise ConfigError(f"{name} must be four positive numbers, got {config[name]}")
    if config["mlp_ratio"] <= 0:
        raise ConfigError(f"mlp_ratio must be positive, got {config['mlp_ratio']}")
    for name in ("drop_path", "dropout"):
        if not 0 <= config[name] < 1:
            raise ConfigError(f"{name} must be in [0, 1), got {config[name]}")
    head_dim, scales = config["head_dim"], len(config["kernel_sizes"])
    if scales and head_dim % scales:
        raise ConfigError(f"head_dim must be a multiple of the {scales} kernel sizes, got {head_dim}")
    for dim in config["embed_dims"][2:]:
        if dim % head_dim:
            raise ConfigError(f"embed_dims of stages 3 and 4 must be multiples of head_dim {head_dim}, got {dim}")
    trained = config["trained_size"]
    if trained is not None and (len(trained) != 2 or min(trained) < 1):
        raise ConfigError(f"trained_size must be (height, width) in pixels, got {trained}")


def _initialise(module: nn.Module) -> None:
    """Linear layers: truncated normal of 0.02, no bias; everything else keeps torch's defaults, as officially."""
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
