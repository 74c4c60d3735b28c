"""CXR-CLIP checkpoints.

Layout read in github.com/kakaobrain/cxr-clip (today Soombit-ai/cxr-clip) at commit fd9fac5e: cxrclip/model/clip.py,
cxrclip/model/modules/{image_encoder,text_encoder,projection}.py, configs/model/clip_{resnet,swin}_clinical.yaml; and
cxrclip/trainer.py at 6a4802c5, which stores the tensors under "model" of a `.tar` file: `image_encoder.resnet`
(torchvision ResNet-50) or `image_encoder.image_encoder` (Swin of transformers 4.26.1, which requirements.txt pins at
955ab931), `text_encoder.text_encoder` (BERT), `{image,text}_projection.projection` and, where the head has two layers,
`.fc` and `.layer_norm`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..model import ImageFeatures, TextFeatures
from .bert_texts import BertTexts
from .parts import IMAGENET, below, bert_of, load_exactly, read_folder, resnet_of, swin_of


class CXRCLIPEncoder:
    """Films and reports in CXR-CLIP's space.

    A report is the vector of its last token, as in both published settings. The vector of a film is the mean of the
    cells of a ResNet, and the first cell of a Swin (their code reads place 0, where a ViT would have its class token).
    The network has no vectors of patches and sentences of its own: here every cell goes through the head of the whole,
    and every sentence is encoded on its own.
    """

    name, side_px, comparable = "cxr-clip", 224, True

    def __init__(self, tensors: Mapping[str, Tensor], tokenizer: Path, device: torch.device) -> None:
        image = below(tensors, "image_encoder.", "cxr-clip")
        self.is_swin = not any(key.startswith("resnet.") for key in image)
        prefix, build = ("image_encoder.", swin_of) if self.is_swin else ("resnet.", resnet_of)
        self.net: Any = build(below(image, prefix, "cxr-clip"), "cxr-clip").to(device)
        self.bert: Any = bert_of(below(tensors, "text_encoder.text_encoder.", "cxr-clip"), "cxr-clip").to(device)
        self.image_head, self.text_head = (
            _Head(below(tensors, f"{kind}_projection.", "cxr-clip")).to(device) for kind in ("image", "text")
        )
        mean, deviation = ((0.5,) * 3, (0.5,) * 3) if self.is_swin else IMAGENET
        self.mean, self.deviation = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (mean, deviation))
        self.texts, self.device = BertTexts(tokenizer), device

    @torch.no_grad()
    def encode_image(self, images: Tensor) -> ImageFeatures:
        """Films (B, 1, S, S) in [-1, 1], brought to the normalisation of the published training."""
        given = ((images.expand(-1, 3, -1, -1) + 1) / 2 - self.mean) / self.deviation
        if self.is_swin:
            last = self.net.forward_features(given)  # rows and columns before channels
            grid, cells = (last.shape[1], last.shape[2]), last.flatten(1, 2)
            whole = cells[:, 0]
        else:
            last = self.net.forward_features(given)
            whole, grid = last.mean((2, 3)), (last.shape[2], last.shape[3])
            cells = last.flatten(2).transpose(1, 2)
        pooled, patches = (F.normalize(self.image_head(part), dim=-1) for part in (whole, cells))
        return ImageFeatures(pooled, patches, grid)

    @torch.no_grad()
    def encode_text(self, reports: Sequence[str]) -> TextFeatures:
        """Reports."""
        return self.texts.each_alone(reports, self._whole, self.device)

    def _whole(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        last = hidden[torch.arange(len(hidden), device=hidden.device), attention_mask.sum(-1) - 1]
        return F.normalize(self.text_head(last), dim=-1)


def load_cxr_clip(folder: Path, device: torch.device) -> CXRCLIPEncoder:
    """Open a folder with a CXR-CLIP checkpoint and the tokenizer.

    Raises:
        CheckpointError: files are missing or of another layout.
    """
    tensors, tokenizer = read_folder(folder)
    return CXRCLIPEncoder(tensors, tokenizer, device)


class _Head(nn.Module):
    """A linear layer; or one followed by GELU, a second one, their sum and a norm."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        rows, columns = tensors["projection.weight"].shape if "projection.weight" in tensors else (1, 1)
        self.projection = nn.Linear(columns, rows)
        self.deep = "fc.weight" in tensors
        if self.deep:
            self.fc, self.layer_norm = nn.Linear(rows, rows), nn.LayerNorm(rows)
        load_exactly(self, tensors, "cxr-clip")
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., D)."""
        x = self.projection(x)
        return self.layer_norm(x + self.fc(F.gelu(x))) if self.deep else x
