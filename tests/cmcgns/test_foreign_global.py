"""CXR-CLIP and BenchX: checkpoints whose reports have one vector each; loaded exactly, encoded as their own code does.

CXR-CLIP: github.com/kakaobrain/cxr-clip at fd9fac5e, cxrclip/model/clip.py and cxrclip/model/modules; the file is
written by cxrclip/trainer.py at 6a4802c5. BenchX: github.com/yangzhou12/BenchX at b874fa61,
preprocess/model_converters/medvlm2mmseg.py and unifier/models/vilmedic/ConVIRT.py; RoBERTa in
config/templates/pretrain/convirt-mimic_resnet50.yml at 6fd4e84. Networks are built here with torchvision and
transformers, as these projects build them, so the names come from there; those of Swin are turned back into the names
of transformers 4.26.1, which CXR-CLIP's requirements.txt pins at 955ab931.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.cmcgns.foreign_checkpoints import TEXTS, WORDS, bert, named, write
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet
from transformers import BertModel, RobertaConfig, RobertaModel, SwinConfig, SwinModel

from cmcgns._shared.errors import CheckpointError
from cmcgns.encoders import open_encoder
from cmcgns.evaluate import evaluate
from cmcgns.synth.planted import planted_dataset

MEAN, DEVIATION = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
EDEMA = [[2, 6, 7, 8, 12, 3]]  # [CLS] there is edema . [SEP]


def torchvision_resnet() -> ResNet:
    """A ResNet of bottlenecks, one block per stage, without classifier."""
    net = ResNet(Bottleneck, [1, 1, 1, 1]).eval()
    del net.fc
    return net


def imagenet_map(net: ResNet, images: Tensor) -> Tensor:
    """layer4 of a film in [-1, 1] after ToTensor and ImageNet's normalisation."""
    given = ((images.expand(-1, 3, -1, -1) + 1) / 2 - MEAN) / DEVIATION
    x = net.maxpool(net.relu(net.bn1(net.conv1(given))))
    return net.layer4(net.layer3(net.layer2(net.layer1(x))))


# Names of Swin in transformers 5 -> in version 4, from the renames that version 5 itself does (conversion_mapping.py).
SWIN_4 = {
    "attention.q_proj": "attention.self.query",
    "attention.k_proj": "attention.self.key",
    "attention.v_proj": "attention.self.value",
    "attention.o_proj": "attention.output.dense",
    "attention.relative_position_bias.relative_position_bias_table": "attention.self.relative_position_bias_table",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


def swin_of_version_4(net: SwinModel) -> dict[str, Tensor]:
    tensors = {}
    for name, value in net.state_dict().items():
        for new, old in SWIN_4.items():
            name = name.replace(new, old)
        tensors[f"image_encoder.image_encoder.{name}"] = value
    index = "image_encoder.image_encoder.encoder.layers.0.blocks.0.attention.self.relative_position_index"
    return tensors | {index: torch.zeros(49, 49, dtype=torch.int64)}  # a buffer, which version 4 stored


class DeepHead(nn.Module):
    """The head with two layers of CXR-CLIP."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.projection, self.fc = nn.Linear(inside, outside), nn.Linear(outside, outside)
        self.layer_norm = nn.LayerNorm(outside)

    def forward(self, x: Tensor) -> Tensor:
        first = self.projection(x)
        return self.layer_norm(self.fc(F.gelu(first)) + first)


class LinearHead(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.projection = nn.Linear(inside, outside)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(x)


def cxr_clip(kind: str) -> tuple[dict[str, Tensor], Any, BertModel, nn.Module, nn.Module]:
    torch.manual_seed(0)
    text = bert()
    if kind == "swin":
        config = SwinConfig(embed_dim=16, depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8])
        net: Any = SwinModel(config).eval()
        tensors, width = swin_of_version_4(net), 128
    else:
        net, width = torchvision_resnet(), 2048
        tensors = named(net, "image_encoder.resnet.")
    head = DeepHead if kind == "deep" else LinearHead
    image_head, text_head = head(width, 8).eval(), head(64, 8).eval()
    tensors |= named(text, "text_encoder.text_encoder.") | named(image_head, "image_projection.")
    tensors |= named(text_head, "text_projection.") | {"logit_scale": torch.tensor(2.6)}
    tensors["text_encoder.text_encoder.pooler.dense.weight"] = torch.zeros(64, 64)
    tensors["text_encoder.text_encoder.pooler.dense.bias"] = torch.zeros(64)
    return tensors, net, text, image_head, text_head


@pytest.mark.parametrize("kind", ["resnet", "deep", "swin"])
def test_cxr_clip_is_encoded_as_its_own_code_does(tmp_path: Path, kind: str) -> None:
    tensors, net, text, image_head, text_head = cxr_clip(kind)
    folder = write(tmp_path / "cxr-clip", tensors, "model-best.tar", "model")
    encoder = open_encoder(f"foreign:cxr-clip:{folder}", device="cpu")
    images = torch.rand(2, 1, 224, 224) * 2 - 1
    with torch.no_grad():
        if kind == "swin":  # normalised with mean and deviation 0.5, so as given; place 0 of the last hidden state
            whole = net(pixel_values=images.expand(-1, 3, -1, -1)).last_hidden_state[:, 0]
        else:
            whole = imagenet_map(net, images).mean((2, 3))
        expected = image_head(whole)
        hidden = text(torch.tensor(EDEMA)).last_hidden_state[:, -1]
        report = text_head(hidden)
    found = encoder.encode_image(images)
    assert torch.allclose(found.pooled, expected / expected.norm(dim=1, keepdim=True), atol=1e-5)
    assert found.patches.shape == (2, 49, 8)
    texts = encoder.encode_text(TEXTS)
    assert torch.allclose(texts.pooled[1:], report / report.norm(dim=1, keepdim=True), atol=1e-5)
    assert texts.sentences.counts.tolist() == [2, 1]
    assert torch.allclose(texts.sentences.values[2], texts.pooled[1], atol=1e-6)  # a report of one sentence


def roberta_tokenizer(folder: Path) -> None:
    """tokenizer.json with RoBERTa's special tokens."""
    names = ["<s>", "<pad>", "</s>", "<unk>", *WORDS[5:]]
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))  # noqa: S106  # no password
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    (folder / "vocab.txt").unlink()
    tokenizer.save(str(folder / "tokenizer.json"))


def convirt_head(inside: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inside, 8), nn.ReLU(), nn.Linear(8, 8))


def benchx_convirt(folder: Path) -> tuple[str, ResNet, RobertaModel, nn.Sequential, nn.Sequential]:
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(WORDS) + 3,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=1,
        intermediate_size=32,
        max_position_embeddings=300,
        type_vocab_size=1,
    )
    net, text, image_head, text_head = (
        torchvision_resnet(),
        RobertaModel(config).eval(),
        *map(convirt_head, (2048, 64)),
    )
    tensors = named(net, "visual.model.") | named(text, "linguistic.encoder.")
    tensors |= named(image_head, "vis_proj.") | named(text_head, "lin_proj.")
    source = write(folder, tensors, "ConVIRT.pth", "model")
    roberta_tokenizer(folder)
    return source, net, text, image_head, text_head


def test_convirt_of_benchx_is_encoded_as_its_own_code_does(tmp_path: Path) -> None:
    source, net, text, image_head, text_head = benchx_convirt(tmp_path / "benchx")
    encoder = open_encoder(f"foreign:benchx:{source}", device="cpu")
    images = torch.rand(2, 1, 224, 224) * 2 - 1
    ids = torch.tensor([[0, 5, 6, 7, 11, 2]])  # <s> there is edema . </s>
    with torch.no_grad():
        expected = F.normalize(image_head(imagenet_map(net, images).mean((2, 3))), dim=-1)
        report = F.normalize(text_head(text(ids).pooler_output), dim=-1)
    assert torch.allclose(encoder.encode_image(images).pooled, expected, atol=1e-5)
    assert torch.allclose(encoder.encode_text(TEXTS[1:]).pooled, report, atol=1e-5)
    padded = encoder.encode_text(TEXTS).pooled  # two lengths: padding is masked and moves no position
    assert torch.allclose(padded[1:], report, atol=1e-5)


def test_benchx_tells_the_method_by_the_names(tmp_path: Path) -> None:
    """MGCA and GLoRIA have their own layout there; methods without a common space are refused by name."""
    for prefix, message in (
        ("img_encoder_q.model.", "mgca"),
        ("gloria.img_encoder.model.", "gloria"),
        ("visual.vit.", "looks like REFERS"),
        ("module.res_features.", "looks like MedKLIP"),
        ("other.", "none of them"),
    ):
        folder = write(tmp_path / prefix, {f"{prefix}x": torch.zeros(1)})
        with pytest.raises(CheckpointError, match=message):
            open_encoder(f"foreign:benchx:{folder}", device="cpu")


def test_both_go_through_the_same_evaluation(tmp_path: Path) -> None:
    folder = write(tmp_path / "cxr-clip", cxr_clip("swin")[0], "model-best.tar", "model")
    for source in (f"foreign:cxr-clip:{folder}", f"foreign:benchx:{benchx_convirt(tmp_path / 'benchx')[0]}"):
        result = evaluate(open_encoder(source, device="cpu"), planted_dataset(6, split="test"), with_probe=False)
        assert result.zero_shot is not None
        assert result.grounding is not None
        assert result.retrieval is not None


def test_another_layout_of_cxr_clip_is_refused_by_name(tmp_path: Path) -> None:
    tensors = cxr_clip("swin")[0]
    tensors.pop("image_encoder.image_encoder.layernorm.weight")
    with pytest.raises(CheckpointError, match=r"missing norm\.weight"):
        open_encoder(f"foreign:cxr-clip:{write(tmp_path / 'a', tensors)}", device="cpu")
    with pytest.raises(CheckpointError, match="no tensor named image_encoder"):
        open_encoder(f"foreign:cxr-clip:{write(tmp_path / 'b', {'x': torch.zeros(1)})}", device="cpu")
