"""Small networks and files with the layout of other projects' checkpoints, for the tests of foreign models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "no",
    "there",
    "is",
    "edema",
    "effusion",
    "clear",
    "lungs",
    ".",
    "heart",
]
TEXTS = ["no effusion. clear lungs.", "there is edema."]


class Hyperparameters(dict):
    """The configuration object that Lightning stores."""


def bert() -> BertModel:
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        num_hidden_layers=4,
        num_attention_heads=1,
        intermediate_size=32,
        max_position_embeddings=256,
    )
    return BertModel(config, add_pooling_layer=False).eval()


def resnet() -> Any:
    return timm.create_model("resnet50", num_classes=0, layers=(1, 1, 1, 1), channels=(4, 8, 8, 8)).eval()


def named(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{key}": value for key, value in module.state_dict().items()}


def write(folder: Path, tensors: dict[str, Tensor], name: str = "last.ckpt", key: str = "state_dict") -> str:
    """A file of a training framework with an object inside, and a tokenizer."""
    folder.mkdir()
    torch.save({key: tensors, "hyper_parameters": Hyperparameters(lr=1)}, folder / name)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return str(folder)
