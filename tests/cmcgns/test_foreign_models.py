"""Checkpoints with the key layout of other projects, small: loaded exactly, encoded as their own code does.

MGCA: github.com/HKU-MedAI/MGCA, mgca/models/backbones/encoder.py at 6445a902, mgca_module.py at b88939e2.
GLoRIA: github.com/marshuang80/gloria, models/vision_model.py at 1a89c154, models/text_model.py at 9f0cfcf0,
gloria/gloria.py at 8ae01f8c.
open_clip: the installed package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tests.cmcgns.foreign_checkpoints import TEXTS, bert, named, resnet, write
from torch import Tensor, nn
from transformers import BertModel

from cmcgns._shared.errors import CheckpointError, ConfigError
from cmcgns.encoders import open_encoder
from cmcgns.evaluate import evaluate
from cmcgns.synth.planted import planted_dataset


def head(inside: int, conv: bool) -> nn.Sequential:
    """GlobalEmbedding or LocalEmbedding of MGCA."""

    def layer(a: int, b: int) -> nn.Module:
        return nn.Conv1d(a, b, 1) if conv else nn.Linear(a, b)

    parts = (layer(inside, 12), nn.BatchNorm1d(12), nn.ReLU(), layer(12, 8), nn.BatchNorm1d(8, affine=False))
    built = nn.Sequential(*parts)
    for part in built:
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.uniform_(-0.1, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return built.eval()


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_mgca_is_encoded_as_its_own_code_does(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    text = bert()
    if kind == "vit":
        net = timm.create_model(
            "vit_base_patch16_224", num_classes=0, img_size=32, embed_dim=64, depth=2, num_heads=1
        ).eval()
        wide, narrow = 64, 64
    else:
        net, wide, narrow = resnet(), 32, 32
    heads = {
        "img_encoder_q": (head(wide, False), head(narrow, True)),
        "text_encoder_q": (head(64, False), head(64, True)),
    }
    tensors = named(net, "img_encoder_q.model.") | named(text, "text_encoder_q.model.")
    for tower, (whole, local) in heads.items():
        tensors |= named(whole, f"{tower}.global_embed.head.") | named(local, f"{tower}.local_embed.head.")
    tensors["prototype_layer.weight"] = torch.zeros(5, 8)
    tensors["text_encoder_q.model.embeddings.position_ids"] = torch.arange(256)[None]
    encoder = open_encoder(f"foreign:mgca:{write(tmp_path / 'mgca', tensors)}", device="cpu")
    side = encoder.side_px
    images = torch.rand(2, 1, side, side) * 2 - 1
    with torch.no_grad():
        given = images.expand(-1, 3, -1, -1)
        if kind == "vit":
            features = net.forward_features(given)
            whole, local = features[:, 0], features[:, 1:]
        else:
            large = nn.Upsample(size=(299, 299), mode="bilinear", align_corners=True)(given)
            stem = net.maxpool(net.act1(net.bn1(net.conv1(large))))
            third = net.layer3(net.layer2(net.layer1(stem)))
            whole, local = net.layer4(third).mean((2, 3)), third.flatten(2).transpose(1, 2)
        first, second = heads["img_encoder_q"]
        pooled = F.normalize(first(whole), dim=-1)
        patches = F.normalize(second(local.transpose(1, 2)).transpose(1, 2), dim=-1)
        found = encoder.encode_image(images)
    assert torch.allclose(found.pooled, pooled, atol=1e-5)
    assert torch.allclose(found.patches, patches, atol=1e-5)
    ids = torch.tensor([[2, 6, 7, 8, 12, 3]])
    with torch.no_grad():
        expected = F.normalize(heads["text_encoder_q"][0](text(ids).last_hidden_state[:, 0]), dim=-1)
    assert torch.allclose(encoder.encode_text(TEXTS[1:]).pooled, expected, atol=1e-5)
    assert encoder.encode_text(TEXTS).sentences.counts.tolist() == [2, 1]


def gloria_tensors() -> tuple[dict[str, Tensor], Any, BertModel, nn.Linear, nn.Conv2d]:
    torch.manual_seed(0)
    net, text, whole, local = resnet(), bert(), nn.Linear(32, 64), nn.Conv2d(32, 64, 1, bias=False)
    tensors = named(net, "gloria.img_encoder.model.") | named(text, "gloria.text_encoder.model.")
    tensors |= named(whole, "gloria.img_encoder.global_embedder.") | named(
        local, "gloria.img_encoder.local_embedder."
    )
    return tensors, net, text, whole, local


def test_gloria_is_encoded_as_its_own_code_does(tmp_path: Path) -> None:
    tensors, net, text, whole, local = gloria_tensors()
    encoder = open_encoder(f"foreign:gloria:{write(tmp_path / 'gloria', tensors)}", device="cpu")
    images = torch.rand(1, 1, 224, 224) * 2 - 1
    with torch.no_grad():
        large = nn.Upsample(size=(299, 299), mode="bilinear", align_corners=True)(images.expand(-1, 3, -1, -1))
        third = net.layer3(net.layer2(net.layer1(net.maxpool(net.act1(net.bn1(net.conv1(large)))))))
        pooled = F.normalize(whole(net.layer4(third).mean((2, 3))), dim=-1)
        patches = F.normalize(local(third).flatten(2).transpose(1, 2), dim=-1)
        hidden = text(torch.tensor([[2, 6, 7, 8, 12, 3]]), output_hidden_states=True).hidden_states
        sentence = F.normalize(torch.stack(hidden[-4:]).sum(0).sum(1), dim=-1)
    found = encoder.encode_image(images)
    assert torch.allclose(found.pooled, pooled, atol=1e-5)
    assert torch.allclose(found.patches, patches, atol=1e-5)
    assert torch.allclose(encoder.encode_text(TEXTS[1:]).pooled, sentence, atol=1e-5)


def test_a_foreign_checkpoint_goes_through_the_same_evaluation(tmp_path: Path) -> None:
    encoder = open_encoder(f"foreign:gloria:{write(tmp_path / 'gloria', gloria_tensors()[0])}", device="cpu")
    result = evaluate(encoder, planted_dataset(6, split="test"), with_probe=False)
    assert result.zero_shot is not None
    assert result.grounding is not None
    assert result.retrieval is not None


def test_another_layout_is_refused_by_name(tmp_path: Path) -> None:
    tensors = gloria_tensors()[0]
    with pytest.raises(CheckpointError, match="no tensor named img_encoder_q"):
        open_encoder(f"foreign:mgca:{write(tmp_path / 'a', tensors)}", device="cpu")
    tensors.pop("gloria.img_encoder.model.layer2.0.conv2.weight")
    with pytest.raises(CheckpointError, match=r"missing layer2\.0\.conv2\.weight"):
        open_encoder(f"foreign:gloria:{write(tmp_path / 'b', tensors)}", device="cpu")


def test_what_is_missing_in_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="0 weight files"):
        open_encoder(f"foreign:gloria:{tmp_path}", device="cpu")
    torch.save({}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"no vocab\.txt"):
        open_encoder(f"foreign:gloria:{tmp_path}", device="cpu")
    with pytest.raises(ConfigError, match="KIND one of mgca, gloria, cxr-clip, benchx, open-clip"):
        open_encoder("foreign:medklip:folder")


@pytest.mark.slow
def test_an_open_clip_folder_with_a_timm_tower_is_encoded_as_open_clip_does(tmp_path: Path) -> None:
    """BiomedCLIP's form: a ViT of timm and a text tower, in a folder as the hub has it."""
    import open_clip

    config = {
        "embed_dim": 16,
        "custom_text": True,
        "vision_cfg": {
            "timm_model_name": "vit_tiny_patch16_224",
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 224,
        },
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    folder = tmp_path / "model"
    folder.mkdir()
    note = {"model_cfg": config, "preprocess_cfg": {"mean": [0.48, 0.45, 0.40], "std": [0.26, 0.26, 0.27]}}
    (folder / "open_clip_config.json").write_text(json.dumps(note))
    torch.manual_seed(0)
    vision, text = open_clip.CLIPVisionCfg(**config["vision_cfg"]), open_clip.CLIPTextCfg(**config["text_cfg"])
    model = open_clip.CustomTextCLIP(16, vision, text).eval()
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    encoder = open_encoder(f"foreign:open-clip:{folder}", device="cpu")
    images = torch.rand(1, 1, 224, 224) * 2 - 1
    mean, deviation = (torch.tensor(note["preprocess_cfg"][k]).view(1, 3, 1, 1) for k in ("mean", "std"))
    with torch.no_grad():
        expected = model.encode_image(((images.expand(-1, 3, -1, -1) + 1) / 2 - mean) / deviation, normalize=True)
    found = encoder.encode_image(images)
    assert torch.allclose(found.pooled, expected, atol=1e-5)
    assert found.patches.shape == (1, 196, 16)
    assert encoder.encode_text(TEXTS).sentences.counts.tolist() == [2, 1]
