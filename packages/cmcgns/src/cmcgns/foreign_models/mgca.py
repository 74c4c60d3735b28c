"""MGCA checkpoints.

Layout read in github.com/HKU-MedAI/MGCA: mgca/models/backbones/encoder.py at commit 6445a902 and
mgca/models/mgca/mgca_module.py at commit b88939e2: `img_encoder_q.model` (torchvision ResNet-50, or a ViT with timm's
names), `img_encoder_q.{global,local}_embed.head.{0,1,3,4}`, `text_encoder_q.model` (BERT),
`text_encoder_q.{global,local}_embed.head`. Attention layers and prototypes are not needed for inference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._shared.errors import CheckpointError
from ..model import ImageFeatures, TextFeatures
from .bert_texts import BertTexts
from .parts import below, bert_of, load_exactly, read_folder, resnet_of, vit_of

_RESNET_SIDE = 299  # films are enlarged to this before the ResNet


class MGCAEncoder:
    """Films and reports in MGCA's space of 128 dimensions, as its contrastive loss sees them."""

    name, side_px, comparable = "mgca", 224, True

    def __init__(self, tensors: Mapping[str, Tensor], tokenizer: Path, device: torch.device) -> None:
        image = below(tensors, "img_encoder_q.", "mgca")
        net = below(image, "model.", "mgca")
        self.is_vit = "patch_embed.proj.weight" in net
        self.net: Any = (vit_of if self.is_vit else resnet_of)(net, "mgca").to(device)
        if self.is_vit:
            self.side_px = self.net.patch_embed.img_size[0]
        text = below(tensors, "text_encoder_q.", "mgca")
        self.image_global, self.image_local = (
            _head(image, f"{kind}_embed.head.").to(device) for kind in ("global", "local")
        )
        self.text_global, self.text_local = (
            _head(text, f"{kind}_embed.head.").to(device) for kind in ("global", "local")
        )
        self.bert = bert_of(below(text, "model.", "mgca"), "mgca").to(device)
        self.texts, self.device = BertTexts(tokenizer), device

    @torch.no_grad()
    def encode_image(self, images: Tensor) -> ImageFeatures:
        """Films (B, 1, S, S) in [-1, 1]."""
        given = images.expand(-1, 3, -1, -1)
        if self.is_vit:
            features = self.net.forward_features(given)
            whole, patches = features[:, 0], features[:, 1:]
            side = round(patches.shape[1] ** 0.5)
            grid = (side, side)
        else:
            large = F.interpolate(given, (_RESNET_SIDE, _RESNET_SIDE), mode="bilinear", align_corners=True)
            *_, third, fourth = self.net.forward_intermediates(large, intermediates_only=True)
            whole, grid = fourth.mean((2, 3)), (third.shape[2], third.shape[3])
            patches = third.flatten(2).transpose(1, 2)
        pooled = F.normalize(self.image_global(whole), dim=-1)
        return ImageFeatures(pooled, F.normalize(_along(self.image_local, patches), dim=-1), grid)

    @torch.no_grad()
    def encode_text(self, reports: Sequence[str]) -> TextFeatures:
        """Reports: the class token for the whole, the mean of a sentence's word vectors for the sentence."""
        tokens = self.texts.tokens(reports, self.device)
        hidden = self.bert(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state
        pooled = F.normalize(self.text_global(hidden[:, 0]), dim=-1)
        words = F.normalize(_along(self.text_local, hidden), dim=-1)
        return TextFeatures(pooled, self.texts.sentences(words, tokens))


def load_mgca(folder: Path, device: torch.device) -> MGCAEncoder:
    """Open a folder with an MGCA checkpoint and the tokenizer.

    Raises:
        CheckpointError: files are missing or of another layout.
    """
    tensors, tokenizer = read_folder(folder)
    return MGCAEncoder(tensors, tokenizer, device)


def _head(tensors: Mapping[str, Tensor], prefix: str) -> nn.Sequential:
    """Linear, norm, ReLU, linear, norm without weights; convolutions of length 1 are the same as linear layers."""
    found = below(tensors, prefix, "mgca")
    try:
        first, last = found["0.weight"], found["3.weight"]
    except KeyError as err:
        raise CheckpointError(f"mgca: no {prefix}{err.args[0]}; is it another version?") from err
    head = nn.Sequential(
        nn.Linear(first.shape[1], first.shape[0]),
        nn.BatchNorm1d(first.shape[0]),
        nn.ReLU(),
        nn.Linear(last.shape[1], last.shape[0]),
        nn.BatchNorm1d(last.shape[0], affine=False),
    )
    flat = {key: value.flatten(1) if key in ("0.weight", "3.weight") else value for key, value in found.items()}
    load_exactly(head, flat, "mgca", ignore=r"num_batches_tracked$")
    return head.eval()


def _along(head: nn.Module, rows: Tensor) -> Tensor:
    """A head over the vectors (B, N, C) of all places."""
    flat: Tensor = head(rows.flatten(0, 1))
    return flat.reshape(*rows.shape[:2], -1)
