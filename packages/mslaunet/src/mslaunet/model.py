"""MSLAU-Net: four-stage encoder with multi-scale linear attention, light multi-level decoder."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import trunc_normal_
from torch import Tensor, nn

from ._shared.errors import ConfigError, DataError
from ._shared.hub import PretrainedModel
from .decoder import Aggregation, Head, Neck, class_logits
from .encoder import Encoder, TimmEncoder
from .fold import fold
from .layers import Activation, HeadMerge, SoftmaxAxes, TokenLayout, require_choice

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


class MSLAUNet(  # type: ignore[call-arg]  # the mixin takes these; mypy sees it as object
    PretrainedModel, nn.Module, library_name="mslaunet", tags=["image-segmentation", "medical"]
):
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
        activation: after the depthwise convolutions of MSLA and in the decoder: "relu" (official), "gelu", "silu".
        share_scales: one linear attention for the scales of an MSLA, as officially; False: one for each.
        deep_supervision: a 1x1 convolution to class logits on each of the four decoder levels; in training the
            network then returns its logits and theirs, all of the image's size.
        encoder: None for the network's own, or the name of a timm `features_only` backbone with maps at strides
            4, 8, 16, 32; embed_dims, depths and all settings of MSLA then mean nothing.
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
        activation: Activation = "relu",
        share_scales: bool = True,
        deep_supervision: bool = False,
        encoder: str | None = None,
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
            "activation": activation,
            "share_scales": share_scales,
            "deep_supervision": deep_supervision,
            "encoder": encoder,
            "trained_size": None if trained_size is None else list(trained_size),
        }
        _check_sizes(self.config)
        self.encoder = self._build_encoder()
        self.conv_mla = Neck(
            self.encoder.widths,
            decoder_channels,
            aggregation=switches["aggregation"],
            align_corners=align_corners,
            activation=activation,
        )
        self.mlahead = Head(decoder_channels, activation=activation)
        self.seg = nn.Conv2d(4 * decoder_channels, num_classes, 3, padding=1)
        levels = range(4 if deep_supervision else 0)
        self.auxiliary = nn.ModuleList(nn.Conv2d(decoder_channels, num_classes, 1) for _ in levels)
        own = [module for name, module in self.named_children() if not (name == "encoder" and encoder)]
        for module in own:  # a timm backbone has initialised itself
            module.apply(_initialise)

    def _build_encoder(self) -> Encoder | TimmEncoder:
        config = self.config
        if config["encoder"] is not None:
            return TimmEncoder(config["encoder"], config["in_channels"], config["drop_path"])
        names = ("kernel_sizes", "token_layout", "head_merge", "softmax", "share_scales", "activation")
        sizes = ("head_dim", "mlp_ratio", "drop_path", "dropout")
        return Encoder(
            config["in_channels"],
            config["embed_dims"],
            config["depths"],
            **{name: config[name] for name in sizes},
            attention={name: config[name] for name in names},
        )

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

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Segment a batch of images of any size.

        Height and width are padded to multiples of 32 by repeating the last row and column; the logits are cropped
        back.

        Args:
            image: (B, C, height, width) floating point, scaled as in training.

        Returns:
            Logits (B, K, height, width), not normalised. In training with deep supervision: a tuple of those and
            of the four auxiliary logits, same shape, shallowest level first.

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
        logits = tuple(x[..., :height, :width] for x in self.segment_padded(image))
        return logits if len(logits) > 1 else logits[0]

    def segment_padded(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits of images whose sides are multiples of 32, and in training the auxiliary ones; no checks."""
        levels = self.mlahead(self.conv_mla(self.encoder(image.contiguous(memory_format=torch.channels_last))))
        align_corners = self.config["align_corners"]
        outputs = [class_logits(torch.cat(levels, dim=1), self.seg, align_corners=align_corners)]
        if self.training:
            outputs += [conv(level) for conv, level in zip(self.auxiliary, levels, strict=False)]
        size = (image.shape[-2], image.shape[-1])
        return tuple(
            F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners).to(image.dtype)
            for x in outputs
        )

    def fold(self) -> nn.Module:
        """A copy for inference with every exact fold done: the same logits up to rounding, see `fold.fold`."""
        return fold(self)

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
