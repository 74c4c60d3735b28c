"""Checkpoints of BenchX, which trained methods of others anew on one training set.

Layout read in github.com/yangzhou12/BenchX at commit b874fa61: the prefixes of every released file in
preprocess/model_converters/medvlm2mmseg.py, ConVIRT's network in unifier/models/vilmedic/ConVIRT.py and
unifier/blocks/{vision/visual_encoder,huggingface/encoder/encoder_model}.py; its text tower and normalisation in
config/templates/pretrain/convirt-mimic_resnet50.yml at 6fd4e84. MGCA-*.ckpt and GLoRIA.ckpt have the layout of the
original projects. ConVIRT.pth: `visual.model` (torchvision ResNet-50), `vis_proj.{0,2}`, `linguistic.encoder` (RoBERTa
with its pooling layer), `lin_proj.{0,2}`.

MedKLIP, M-FLAG, MRM, PTUnifier and REFERS are refused: they have no vectors of films and of free texts in one space,
which the evaluation compares.
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
from .gloria import GLoRIAEncoder
from .mgca import MGCAEncoder
from .parts import IMAGENET, below, bert_of, load_exactly, read_folder, resnet_of

_OTHERS = {
    "res_features.": "MedKLIP",
    "encoder.": "M-FLAG",
    "vision_encoder.visual.": "MRM or PTUnifier",
    "visual.vit.": "REFERS",
}


class ConVIRTEncoder:
    """Films and reports in the space of BenchX's ConVIRT.

    It has no vectors of patches and sentences of its own: here every cell goes through the head of the whole film, and
    every sentence is encoded on its own.
    """

    name, side_px, comparable = "benchx-convirt", 224, True

    def __init__(self, tensors: Mapping[str, Tensor], tokenizer: Path, device: torch.device) -> None:
        self.net: Any = resnet_of(below(tensors, "visual.model.", self.name), self.name).to(device)
        bert: Any = bert_of(below(tensors, "linguistic.encoder.", self.name), self.name, pooler=True)
        self.bert = bert.to(device)
        self.image_head, self.text_head = (
            _head(below(tensors, f"{kind}_proj.", self.name), self.name).to(device) for kind in ("vis", "lin")
        )
        self.mean, self.deviation = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in IMAGENET)
        self.texts, self.device = BertTexts(tokenizer, roberta=bert.config.model_type == "roberta"), device

    @torch.no_grad()
    def encode_image(self, images: Tensor) -> ImageFeatures:
        """Films (B, 1, S, S) in [-1, 1], brought to ImageNet's normalisation."""
        given = ((images.expand(-1, 3, -1, -1) + 1) / 2 - self.mean) / self.deviation
        last = self.net.forward_features(given)
        whole, cells = last.mean((2, 3)), last.flatten(2).transpose(1, 2)
        pooled, patches = (F.normalize(self.image_head(part), dim=-1) for part in (whole, cells))
        return ImageFeatures(pooled, patches, (last.shape[2], last.shape[3]))

    @torch.no_grad()
    def encode_text(self, reports: Sequence[str]) -> TextFeatures:
        """Reports."""
        return self.texts.each_alone(reports, self._whole, self.device)

    def _whole(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        pooled = self.bert(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        return F.normalize(self.text_head(pooled), dim=-1)


def load_benchx(folder: Path, device: torch.device) -> ConVIRTEncoder | MGCAEncoder | GLoRIAEncoder:
    """Open a folder with a checkpoint of BenchX and the tokenizer of its text tower; the method is told by the names.

    Raises:
        CheckpointError: files are missing, or a method without a common space of films and texts.
    """
    tensors, tokenizer = read_folder(folder)
    if any(key.startswith("visual.model.") for key in tensors):
        return ConVIRTEncoder(tensors, tokenizer, device)
    if any(key.startswith("img_encoder_q.") for key in tensors):
        return MGCAEncoder(tensors, tokenizer, device)
    if any("gloria.img_encoder." in key for key in tensors):
        return GLoRIAEncoder(tensors, tokenizer, device)
    method = next((name for prefix, name in _OTHERS.items() if any(k.startswith(prefix) for k in tensors)), "")
    found = f"looks like {method}, which has no common space of films and texts" if method else "none of them"
    raise CheckpointError(f"{folder.name}: expected ConVIRT, MGCA or GLoRIA of BenchX; {found}")


def _head(tensors: Mapping[str, Tensor], source: str) -> nn.Sequential:
    """Linear, ReLU, linear."""
    try:
        first, last = tensors["0.weight"], tensors["2.weight"]
    except KeyError as err:
        raise CheckpointError(f"{source}: its head lacks {err.args[0]}; is it another version?") from err
    head = nn.Sequential(
        nn.Linear(first.shape[1], first.shape[0]), nn.ReLU(), nn.Linear(last.shape[1], last.shape[0])
    )
    load_exactly(head, tensors, source)
    return head.eval()
