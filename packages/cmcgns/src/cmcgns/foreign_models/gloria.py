"""GLoRIA checkpoints.

Layout read in github.com/marshuang80/gloria: gloria/models/vision_model.py at commit 1a89c154, text_model.py at commit
9f0cfcf0 and gloria/gloria.py at commit 8ae01f8c (names after the last `gloria.`): `img_encoder.model` (torchvision
ResNet-50), `img_encoder.global_embedder` (linear), `img_encoder.local_embedder` (1x1 convolution of the third stage),
`text_encoder.model` (BERT; the last four layers are added). Films are enlarged to 299.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .._shared.errors import CheckpointError
from ..model import ImageFeatures, TextFeatures
from .bert_texts import BertTexts
from .parts import below, bert_of, read_folder, resnet_of

_SIDE, _LAYERS = 299, 4


class GLoRIAEncoder:
    """Films and reports in GLoRIA's space; word vectors are summed, which is its mean up to a factor."""

    name, side_px, comparable = "gloria", 224, True

    def __init__(self, tensors: Mapping[str, Tensor], tokenizer: Path, device: torch.device) -> None:
        named = {key.rpartition("gloria.")[2]: value for key, value in tensors.items()}
        image = below(named, "img_encoder.", "gloria")
        self.net: Any = resnet_of(below(image, "model.", "gloria"), "gloria").to(device)
        try:
            self.weight, self.bias = (image[f"global_embedder.{k}"].float().to(device) for k in ("weight", "bias"))
            self.local = image["local_embedder.weight"].float().flatten(1).to(device)
        except KeyError as err:
            raise CheckpointError(f"gloria: no img_encoder.{err.args[0]}; is it another version?") from err
        self.bert: Any = bert_of(below(named, "text_encoder.model.", "gloria"), "gloria").to(device)
        self.texts, self.device = BertTexts(tokenizer), device

    @torch.no_grad()
    def encode_image(self, images: Tensor) -> ImageFeatures:
        """Films (B, 1, S, S) in [-1, 1]."""
        large = F.interpolate(images.expand(-1, 3, -1, -1), (_SIDE, _SIDE), mode="bilinear", align_corners=True)
        *_, third, fourth = self.net.forward_intermediates(large, intermediates_only=True)
        pooled = F.normalize(F.linear(fourth.mean((2, 3)), self.weight, self.bias), dim=-1)
        patches = F.normalize(third.flatten(2).transpose(1, 2) @ self.local.T, dim=-1)
        return ImageFeatures(pooled, patches, (third.shape[2], third.shape[3]))

    @torch.no_grad()
    def encode_text(self, reports: Sequence[str]) -> TextFeatures:
        """Reports."""
        tokens = self.texts.tokens(reports, self.device)
        layers = self.bert(
            input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, output_hidden_states=True
        ).hidden_states
        words = torch.stack(layers[-_LAYERS:]).sum(0) * tokens.attention_mask[..., None]
        return TextFeatures(F.normalize(words.sum(1), dim=-1), self.texts.sentences(words, tokens))


def load_gloria(folder: Path, device: torch.device) -> GLoRIAEncoder:
    """Open a folder with a GLoRIA checkpoint and the tokenizer.

    Raises:
        CheckpointError: files are missing or of another layout.
    """
    tensors, tokenizer = read_folder(folder)
    return GLoRIAEncoder(tensors, tokenizer, device)
