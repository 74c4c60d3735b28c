"""Encoders started from official, UniFormer and timm weights."""

import logging

import pytest
import torch

from mslaunet._shared.errors import CheckpointError
from mslaunet.config import Config, DataConfig, ModelConfig
from mslaunet.model import MSLAUNet
from mslaunet.pretrained import load_encoder
from mslaunet.train import build_model


def tiny(seed, **arguments):
    torch.manual_seed(seed)
    return MSLAUNet.variant("tiny", 2, **arguments)


def uniformer_like(model):
    """State of UniFormer kind: other widths in stage 3 and of the patch embedding behind it, plain attention."""
    state = {}
    for name, value in model.encoder.state_dict().items():
        if ".attn." in name and name.startswith(("blocks3", "blocks4")):
            continue
        narrow = name.startswith(("blocks3", "patch_embed3", "patch_embed4.proj"))
        state[name] = torch.full_like(value, 0.5) if not narrow else torch.zeros(*(s + 1 for s in value.shape))
    state["blocks3.0.attn.qkv.weight"] = torch.zeros(3, 3)
    state["blocks4.0.attn.proj.bias"] = torch.zeros(3)
    return state | {
        "norm.weight": torch.zeros(9),
        "head.weight": torch.zeros(1000, 9),
        "head.bias": torch.zeros(9),
    }


@pytest.mark.parametrize("whole", [True, False], ids=["whole network", "encoder alone"])
@pytest.mark.parametrize("on_disk", [True, False])
def test_official_encoder_is_loaded_whole(whole, on_disk, tmp_path, caplog):
    source, target = tiny(1, preset="official"), tiny(2)
    before = target.conv_mla.state_dict()["mla_p4.0.weight"].clone()
    weights = source.state_dict() if whole else source.encoder.state_dict()
    given = {"model": weights, "epoch": 3}
    if on_disk:
        torch.save(given, tmp_path / "best.pth")
        given = tmp_path / "best.pth"
    with caplog.at_level(logging.WARNING, logger="mslaunet"):
        report = load_encoder(target, given)
    for name, value in source.encoder.state_dict().items():
        assert torch.equal(target.encoder.state_dict()[name], value)
    assert torch.equal(target.conv_mla.state_dict()["mla_p4.0.weight"], before)
    assert report.what == "encoder of the official code"
    assert (report.missing, report.unexpected, report.reshaped) == ((), (), ())
    assert bool(report.ignored) == whole


@pytest.mark.parametrize("channels", [1, 5])
def test_first_convolution_is_inflated(channels):
    source, target = tiny(1, preset="official"), tiny(2, in_channels=channels, preset="official")
    report = load_encoder(target, source.state_dict())
    assert report.reshaped == ("patch_embed1.proj.weight",)
    grey = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        expected = source.eval().encoder(grey.repeat(1, 3, 1, 1))
        received = target.eval().encoder(grey.repeat(1, channels, 1, 1))
    for a, b in zip(expected, received, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_uniformer_starts_what_fits_and_reports_the_rest():
    target = tiny(2)
    before = {name: value.clone() for name, value in target.encoder.state_dict().items()}
    report = load_encoder(target, uniformer_like(target))
    assert report.what == "UniFormer, partial warm start"
    assert {"patch_embed1.proj.weight", "blocks2.0.mlp.fc1.weight", "blocks4.0.pos_embed.weight"} <= set(
        report.used
    )
    assert not any(name.startswith("blocks3") for name in report.used)
    assert "blocks3.0.attn.linear_attention.qkv.weight" in report.missing
    assert "blocks3.0.attn.qkv.weight" in report.unexpected
    assert "head.weight" in report.ignored
    after = target.encoder.state_dict()
    assert (after["blocks2.0.mlp.fc1.weight"] == 0.5).all()
    assert torch.equal(after["blocks3.0.mlp.fc1.weight"], before["blocks3.0.mlp.fc1.weight"])


def test_timm_backbone_takes_timm_weights_of_other_channels():
    torch.manual_seed(0)
    source = MSLAUNet(2, encoder="resnet10t").encoder.backbone.state_dict()
    target = MSLAUNet(2, in_channels=1, encoder="resnet10t")
    report = load_encoder(target, source | {"fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)})
    assert report.reshaped == ("conv1.0.weight",)
    assert report.ignored == ("fc.bias", "fc.weight")
    assert report.missing == ()


def test_weights_of_another_size_or_network_are_refused():
    with pytest.raises(CheckpointError, match=r"missing or of another shape .*check model.variant"):
        load_encoder(tiny(0), MSLAUNet.variant("small", 2, preset="official").state_dict())
    with pytest.raises(CheckpointError, match="neither an encoder of the official code nor UniFormer"):
        load_encoder(tiny(0), {"conv1.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="timm backbone resnet10t, but"):
        load_encoder(MSLAUNet(2, encoder="resnet10t"), tiny(0).state_dict())


def test_training_starts_from_the_weights_of_the_settings(tmp_path):
    source = tiny(1, preset="official")
    torch.save({"model": source.encoder.state_dict()}, tmp_path / "best.pth")
    data, settings = DataConfig(root=tmp_path), ModelConfig(variant="tiny", pretrained=tmp_path / "best.pth")
    model = build_model(Config(data=data, model=settings), num_classes=2, in_channels=3)
    for name, value in source.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value)
    assert "pretrained" not in model.config
