"""Loading official weights: every accepted form, what is reported, and what is refused."""

import logging

import pytest
import torch
from safetensors.torch import save_file

from mslaunet._shared.errors import CheckpointError, ConfigError
from mslaunet.model import MSLAUNet
from mslaunet.official import inflate_input_kernels, load_official

SIZES = {"embed_dims": (8, 16, 64, 128), "depths": (1, 2, 1, 2), "decoder_channels": 8}
UNUSED = ("encoder.norm.weight", "encoder.norm.bias", "encoder.head.weight", "encoder.head.bias")


@pytest.fixture(scope="module")
def official():
    """A small network of official kind with random weights and statistics, without the unused entries."""
    torch.manual_seed(3)
    model = MSLAUNet(5, preset="official", **SIZES).double().eval()
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.add_((torch.rand_like(value) - 0.5) * 0.1)  # variances stay positive
    return model


@pytest.fixture
def weights(official):
    """The state dict as the official code writes it: with an unused norm and a classifier of one class."""
    state = {name: value.clone() for name, value in official.state_dict().items()}
    for name, shape in zip(UNUSED, [(128,), (128,), (1, 128), (1,)], strict=True):
        state[name] = torch.zeros(shape, dtype=torch.float64)
    return state


def encoder_only(weights):
    prefix = "encoder."
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def image(channels=3, side=64):
    return torch.randn(1, channels, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def logits(model, x):
    with torch.inference_mode():
        return model.eval()(x)


def same_tensors(model, weights):
    state = model.state_dict()
    return all(torch.equal(state[name], weights[name]) for name in state)


FORMS = {
    "bare": lambda w: w,
    "model": lambda w: {"model": w, "epoch": 3},
    "state_dict": lambda w: {"state_dict": w, "best": 0.5},
    "model_state_dict": lambda w: {"model_state_dict": w},
    "module.": lambda w: {f"module.{k}": v for k, v in w.items()},
    "_orig_mod.": lambda w: {"model": {f"_orig_mod.{k}": v for k, v in w.items()}},
    "module._orig_mod.": lambda w: {f"module._orig_mod.{k}": v for k, v in w.items()},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("on_disk", [True, False], ids=["file", "memory"])
def test_every_form_gives_the_same_network(official, weights, form, on_disk, tmp_path):
    given = FORMS[form](weights)
    if on_disk:
        torch.save(given, tmp_path / "best.pth")
        given = tmp_path / "best.pth"
    model, report = load_official(given, trained_size=(64, 64))
    assert torch.equal(logits(model, image()), logits(official, image()))
    assert set(report.used) == set(official.state_dict())
    assert set(report.ignored) == set(UNUSED)
    assert report.missing == report.unexpected == report.reshaped == ()


def test_safetensors_and_text_paths_are_read(official, weights, tmp_path):
    save_file(weights, tmp_path / "ünïcode name.safetensors")
    model, report = load_official(str(tmp_path / "ünïcode name.safetensors"))
    assert same_tensors(model, weights)
    assert report.source == "ünïcode name.safetensors"


def test_sizes_are_read_from_the_tensors(official, weights):
    model, _ = load_official(weights, trained_size=None)
    assert model.config == official.config


def test_preset_is_official_and_said(weights, caplog):
    with caplog.at_level(logging.INFO, logger="mslaunet"):
        model, report = load_official(weights)
    assert model.config["preset"] == report.preset == "official"
    assert model.config["head_merge"] == "legacy"
    assert "preset 'official' selected" in caplog.text
    assert str(report) in caplog.text


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_dtype_of_the_weights_is_kept(weights, dtype):
    given = {k: v.to(dtype) if v.is_floating_point() else v for k, v in weights.items()}
    model, _ = load_official(given)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert same_tensors(model, given)


def test_weights_are_copied(weights):
    model, _ = load_official(weights)
    weights["seg.bias"].fill_(7)
    assert not (model.seg.bias == 7).any()


def test_one_channel_computes_what_repetition_computes(official, weights):
    model, report = load_official(weights, in_channels=1, trained_size=(64, 64))
    grey = image(1)
    torch.testing.assert_close(logits(model, grey), logits(official, grey.repeat(1, 3, 1, 1)), rtol=0, atol=1e-12)
    assert report.reshaped == ("encoder.patch_embed1.proj.weight",)
    assert model.config["in_channels"] == 1


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_equal_channels_give_the_response_of_grey(official, weights, channels):
    model, _ = load_official(weights, in_channels=channels, trained_size=(64, 64))
    grey = image(1)
    received = logits(model, grey.repeat(1, channels, 1, 1))
    torch.testing.assert_close(received, logits(official, grey.repeat(1, 3, 1, 1)), rtol=0, atol=1e-12)


def test_inflation_leaves_matching_kernels_alone():
    kernels = torch.rand(4, 3, 2, 2)
    assert inflate_input_kernels(kernels, 3) is kernels
    assert inflate_input_kernels(kernels, 5).shape == (4, 5, 2, 2)


def test_encoder_alone_is_loaded_and_reported(weights, caplog):
    given = {"model": encoder_only(weights)}
    model, report = load_official(given, num_classes=4)
    decoder = {name for name in model.state_dict() if not name.startswith("encoder.")}
    assert set(report.missing) == decoder
    assert set(report.ignored) == set(UNUSED)
    assert len(report.used) + len(decoder) == len(model.state_dict())
    assert model.config["num_classes"] == 4
    assert all(torch.equal(v, weights[f"encoder.{k}"]) for k, v in model.encoder.state_dict().items())
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_encoder_with_a_classifier_of_many_classes_is_accepted(weights):
    given = encoder_only(weights) | {"head.weight": torch.zeros(1000, 128), "head.bias": torch.zeros(1000)}
    _, report = load_official(given, num_classes=2)
    assert "encoder.head.weight" in report.ignored


def test_encoder_alone_needs_the_number_of_classes(weights):
    with pytest.raises(ConfigError, match="give num_classes"):
        load_official(encoder_only(weights))


def test_other_classes_leave_the_last_convolution_new(weights):
    model, report = load_official(weights, num_classes=2)
    assert model.seg.weight.shape[0] == 2
    assert report.missing == ("seg.bias", "seg.weight")
    assert {"seg.weight", "seg.bias"} <= set(report.ignored)
    assert torch.equal(model.mlahead.state_dict()["head2.0.weight"], weights["mlahead.head2.0.weight"])


@pytest.mark.parametrize("arguments", [{}, {"num_classes": 2}, {"in_channels": 1}])
def test_every_tensor_is_reported_exactly_once(weights, arguments):
    weights["encoder.surprise"] = torch.zeros(2)
    model, report = load_official(weights, **arguments)
    of_file = report.used + report.reshaped + report.ignored + report.unexpected
    of_model = report.used + report.reshaped + report.missing
    assert sorted(of_file) == sorted(weights)
    assert sorted(of_model) == sorted(model.state_dict())
    assert report.unexpected == ("encoder.surprise",)


def test_a_foreign_token_grid_warns_and_is_not_refused(weights):
    model, _ = load_official(weights)
    with pytest.warns(UserWarning, match="belong to 224 x 224 pixels, got 64 x 96") as caught:
        assert logits(model, torch.zeros(1, 3, 64, 96, dtype=torch.float64)).shape == (1, 5, 64, 96)
    assert len(caught) == 1


def without(name):
    return lambda w: {k: v for k, v in w.items() if not k.startswith(name)}


def with_tensor(name, change):
    return lambda w: w | {name: change(w[name])}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("encoder.patch_embed3.proj.weight"), "encoder.patch_embed3.proj.weight"),
        (
            without("encoder.blocks3.0.attn.linear_attention.qkv"),
            r"1 missing .*blocks3.0.attn.linear_attention.qkv",
        ),
        (without("encoder.blocks2.0."), "missing"),
        (without("conv_mla.mla_p2_3x3.1.running_mean"), r"1 missing .conv_mla.mla_p2_3x3.1.running_mean"),
        (without("seg."), "seg.weight"),
        (without("mlahead."), "missing"),
        (with_tensor("encoder.blocks4.1.mlp.fc2.weight", lambda t: t[:, :-1]), r"1 wrong shape .*\(128, 511\)"),
        (with_tensor("encoder.patch_embed1.proj.weight", lambda t: t[:, :, 0, 0]), "wrong shape"),
        (with_tensor("encoder.patch_embed1.proj.weight", lambda t: t.sum()), "is missing or cut"),
        (with_tensor("seg.bias", lambda t: t / 0), "seg.bias holds NaN or infinite values"),
        (lambda w: {"fc.weight": torch.zeros(2, 2)}, "expected MSLAU-Net weights"),
        (lambda w: {}, "expected a state dict"),
        (lambda w: {"model": {"weights": "none"}}, "expected a state dict"),
    ],
)
def test_damaged_weights_are_refused(weights, damage, message):
    with pytest.raises(CheckpointError, match=message):
        load_official(damage(weights), num_classes=None)


def test_a_damaged_encoder_alone_is_refused(weights):
    given = without("encoder.blocks4.1.norm2")(weights)
    with pytest.raises(CheckpointError, match="2 missing"):
        load_official(encoder_only(given), num_classes=2)


def test_a_missing_or_cut_file_is_refused(weights, tmp_path):
    with pytest.raises(CheckpointError, match=r"absent\.pth"):
        load_official(tmp_path / "absent.pth")
    torch.save(weights, tmp_path / "cut.pth")
    content = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"cut\.pth"):
        load_official(tmp_path / "cut.pth")


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Payload:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w').close()",))

    torch.save({"model": Payload()}, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match=r"bad\.pth"):
        load_official(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()


def test_heads_that_do_not_fit_are_a_setting(weights):
    with pytest.raises(ConfigError, match="multiples of head_dim 48, got 64"):
        load_official(weights, head_dim=48)
