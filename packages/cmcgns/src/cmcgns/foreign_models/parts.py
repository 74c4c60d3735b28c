"""Networks whose sizes are read off a checkpoint's tensors, and the files of a checkpoint's folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from .._shared.errors import CheckpointError
from .._shared.foreign import read_lightning_weights

_WEIGHTS = ("*.ckpt", "*.pth", "*.pt", "*.safetensors")
HEAD_WIDTH = 64  # of every published ViT and BERT here


def read_folder(folder: Path) -> tuple[dict[str, Tensor], Path]:
    """Tensors of the one checkpoint in a folder, and the folder as the place of its tokenizer.

    Raises:
        CheckpointError: no folder, no or several checkpoints, or no tokenizer files.
    """
    found = sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern)) if folder.is_dir() else []
    if len(found) != 1:
        raise CheckpointError(
            f"{folder.name}: {len(found)} weight files; expected a folder with one of {', '.join(_WEIGHTS)}"
        )
    if not any((folder / name).is_file() for name in ("vocab.txt", "tokenizer.json")):
        raise CheckpointError(
            f"{folder.name}: no vocab.txt or tokenizer.json; put the tokenizer of Bio_ClinicalBERT beside the weights"
        )
    if found[0].suffix == ".safetensors":
        from .._shared.foreign import read_foreign_weights

        return read_foreign_weights(found[0]), folder
    return read_lightning_weights(found[0]), folder


def below(tensors: Mapping[str, Tensor], prefix: str, source: str) -> dict[str, Tensor]:
    """Tensors whose names begin with a prefix, without it.

    Raises:
        CheckpointError: there is none.
    """
    found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    if not found:
        raise CheckpointError(f"{source}: no tensor named {prefix}*; is it another kind of checkpoint?")
    return found


def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], source: str, *, ignore: str = "$^") -> None:
    """Load tensors; names that match `ignore` may be missing or extra, every other difference is an error.

    Raises:
        CheckpointError: names or shapes differ; the first are named.
    """
    own = module.state_dict()
    given = {key: value for key, value in tensors.items() if not re.search(ignore, key) or key in own}
    missing = [key for key in own if key not in given and not re.search(ignore, key)]
    extra = [key for key in given if key not in own]
    wrong = [key for key in own if key in given and own[key].shape != given[key].shape]
    if missing or extra or wrong:
        first = (
            [f"missing {k}" for k in missing[:2]]
            + [f"unknown {k}" for k in extra[:2]]
            + [f"shape {k}" for k in wrong[:2]]
        )
        raise CheckpointError(
            f"{source}: does not fit: {', '.join(first)} ({len(missing + extra + wrong)} differences)"
        )
    module.load_state_dict(own | {k: v.to(own[k].dtype) for k, v in given.items()})


def bert_of(tensors: Mapping[str, Tensor], source: str) -> nn.Module:
    """A BERT without pooler of the sizes that the tensors have.

    Raises:
        CheckpointError: they are no BERT.
    """
    from transformers import BertConfig, BertModel

    try:
        words, positions = (tensors[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position"))
        layers = 1 + max(int(m.group(1)) for k in tensors if (m := re.match(r"encoder\.layer\.(\d+)\.", k)))
        inner = tensors["encoder.layer.0.intermediate.dense.weight"].shape[0]
    except (KeyError, ValueError) as err:
        raise CheckpointError(f"{source}: its text tower is no BERT; is it another kind of checkpoint?") from err
    config = BertConfig(
        vocab_size=words.shape[0],
        hidden_size=words.shape[1],
        num_hidden_layers=layers,
        num_attention_heads=max(1, words.shape[1] // HEAD_WIDTH),
        intermediate_size=inner,
        max_position_embeddings=positions.shape[0],
    )
    model = BertModel(config, add_pooling_layer=False)
    load_exactly(model, tensors, source, ignore=r"position_ids$|^pooler\.|token_type_ids$")
    return model.eval()


def resnet_of(tensors: Mapping[str, Tensor], source: str) -> Any:
    """A ResNet of bottlenecks (torchvision's names) of the sizes that the tensors have, without classifier.

    Raises:
        CheckpointError: they are no such network.
    """
    try:
        layers = [
            1 + max(int(m.group(1)) for k in tensors if (m := re.match(rf"layer{i}\.(\d+)\.", k)))
            for i in range(1, 5)
        ]
        channels = [tensors[f"layer{i}.0.conv1.weight"].shape[0] for i in range(1, 5)]
    except (KeyError, ValueError) as err:
        raise CheckpointError(
            f"{source}: its image tower is no ResNet; is it another kind of checkpoint?"
        ) from err
    net = timm.create_model("resnet50", num_classes=0, layers=tuple(layers), channels=tuple(channels))
    load_exactly(net, tensors, source, ignore=r"num_batches_tracked$|^fc\.")
    return net.eval()


def vit_of(tensors: Mapping[str, Tensor], source: str) -> Any:
    """A ViT with class token (timm's names) of the sizes that the tensors have.

    Raises:
        CheckpointError: they are no such network.
    """
    try:
        kernel, positions = tensors["patch_embed.proj.weight"], tensors["pos_embed"]
        depth = 1 + max(int(m.group(1)) for k in tensors if (m := re.match(r"blocks\.(\d+)\.", k)))
    except (KeyError, ValueError) as err:
        raise CheckpointError(f"{source}: its image tower is no ViT; is it another kind of checkpoint?") from err
    side = round((positions.shape[1] - 1) ** 0.5) * kernel.shape[2]
    net = timm.create_model(
        "vit_base_patch16_224",
        num_classes=0,
        img_size=side,
        patch_size=kernel.shape[2],
        embed_dim=kernel.shape[0],
        depth=depth,
        num_heads=max(1, kernel.shape[0] // HEAD_WIDTH),
    )
    load_exactly(net, tensors, source, ignore=r"^head\.")
    return net.eval()
