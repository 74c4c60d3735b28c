"""Networks whose sizes are read off a checkpoint's tensors, and the files of a checkpoint's folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from .._shared.errors import CheckpointError
from .._shared.foreign import read_lightning_weights

_WEIGHTS = ("*.ckpt", "*.pth", "*.pt", "*.tar", "*.safetensors")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of its normalisation
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
            f"{folder.name}: no vocab.txt or tokenizer.json; put the tokenizer of its text tower beside the weights"
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


def bert_of(tensors: Mapping[str, Tensor], source: str, *, pooler: bool = False) -> nn.Module:
    """A BERT or RoBERTa of the sizes that the tensors have; a RoBERTa knows one type of segment only.

    Args:
        tensors: names of transformers.
        source: what a message calls it.
        pooler: with the layer that makes `pooler_output`; without it, a stored one is left out.

    Raises:
        CheckpointError: they are no such network.
    """
    from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

    try:
        words, positions, segments = (
            tensors[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
        )
        layers = 1 + max(int(m.group(1)) for k in tensors if (m := re.match(r"encoder\.layer\.(\d+)\.", k)))
        inner = tensors["encoder.layer.0.intermediate.dense.weight"].shape[0]
    except (KeyError, ValueError) as err:
        raise CheckpointError(f"{source}: its text tower is no BERT; is it another kind of checkpoint?") from err
    kind, network = (RobertaConfig, RobertaModel) if len(segments) == 1 else (BertConfig, BertModel)
    config = kind(
        vocab_size=words.shape[0],
        hidden_size=words.shape[1],
        num_hidden_layers=layers,
        num_attention_heads=max(1, words.shape[1] // HEAD_WIDTH),
        intermediate_size=inner,
        max_position_embeddings=positions.shape[0],
        type_vocab_size=len(segments),
    )
    model: Any = network(config, add_pooling_layer=pooler)
    load_exactly(model, tensors, source, ignore=r"(position|token_type)_ids$" + ("" if pooler else r"|^pooler\."))
    built: nn.Module = model.eval()
    return built


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


# Names of Swin in transformers 4 (what checkpoints hold; version 5 renamed them) -> names of timm.
_SWIN_NAMES = (
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.", ""),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"attention\.self\.relative_position", "attn.relative_position"),
    (r"attention\.output\.dense", "attn.proj"),
    (r"intermediate\.dense", "mlp.fc1"),
    (r"output\.dense", "mlp.fc2"),
)


def swin_of(tensors: Mapping[str, Tensor], source: str) -> Any:
    """A Swin (names of transformers 4) of the sizes that the tensors have, for 224 px.

    Raises:
        CheckpointError: they are no such network.
    """
    named = dict(_swin_tensors(tensors))
    try:
        kernel, table = named["patch_embed.proj.weight"], "layers.{}.blocks.0.attn.relative_position_bias_table"
        blocks = [m for k in named if (m := re.match(r"layers\.(\d+)\.blocks\.(\d+)\.", k))]
        stages = range(1 + max(int(m.group(1)) for m in blocks))
        depths = tuple(1 + max(int(m.group(2)) for m in blocks if int(m.group(1)) == i) for i in stages)
        heads = tuple(named[table.format(i)].shape[1] for i in stages)
        window = (round(named[table.format(0)].shape[0] ** 0.5) + 1) // 2
    except (KeyError, ValueError) as err:
        raise CheckpointError(f"{source}: its image tower is no Swin; is it another kind of checkpoint?") from err
    net = timm.create_model(
        "swin_tiny_patch4_window7_224",
        num_classes=0,
        embed_dim=kernel.shape[0],
        depths=depths,
        num_heads=heads,
        window_size=window,
    )
    load_exactly(net, named, source, ignore=r"relative_position_index$|attn_mask$")
    return net.eval()


def _swin_tensors(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Tensors under timm's names: one matrix for query, key and value; a stage begins with its downsampling."""
    for key, value in tensors.items():
        name = key
        for pattern, new in _SWIN_NAMES:
            name = re.sub(pattern, new, name)
        if found := re.match(r"layers\.(\d+)\.downsample\.", name):
            name = f"layers.{int(found.group(1)) + 1}.{name[name.index('downsample') :]}"
        if "attention.self.query." in name:
            others = [tensors.get(key.replace("query", part), value[:0]) for part in ("key", "value")]
            yield name.replace("attention.self.query", "attn.qkv"), torch.cat([value, *others])
        elif not re.search(r"attention\.self\.(key|value)\.", name):
            yield name, value
