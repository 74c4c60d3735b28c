"""Folding changes nothing but the time: every preset, option, size and layout."""

import pytest
import torch
from torch import nn

from mslaunet.decoder import class_logits, double
from mslaunet.fold import FoldedGlobalBlock, FoldedLocalBlock, fold
from mslaunet.model import PRESETS, MSLAUNet
from mslaunet.products import channel_product


def scrambled(classes=3, **arguments):
    """A tiny network in float64 in which no norm, bias or scale is neutral."""
    torch.manual_seed(0)
    model = MSLAUNet.variant("tiny", classes, **arguments).double().eval()
    for value in model.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value += (torch.rand_like(value) - 0.5) * 0.4
    return model


def image(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def difference(model, folded, x):
    with torch.inference_mode():
        expected = model(x)
        return ((folded(x) - expected).abs().max() / expected.abs().max()).item()


OPTIONS = [
    *({"preset": preset} for preset in PRESETS),
    {"share_scales": False},
    {"activation": "silu"},
    {"align_corners": False},
    {"decoder_channels": 8},
    {"kernel_sizes": (3, 9)},
    {"deep_supervision": True},
    {"drop_path": 0.3, "dropout": 0.2},
    {"classes": 40},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_folded_network_gives_the_same_logits(options):
    model = scrambled(**options)
    assert difference(model, model.fold(), image(2, 3, 70, 96)) < 1e-12


def test_large_grids_take_one_call_per_kernel():
    model = scrambled()
    assert difference(model, model.fold(), image(1, 3, 32, 384)) < 1e-12
    assert difference(model, model.fold(), image(1, 3, 416, 416)) < 1e-12


def test_timm_encoder_is_kept_and_the_decoder_folded():
    torch.manual_seed(0)
    model = MSLAUNet(2, encoder="resnet10t").double().eval()
    assert difference(model, model.fold(), image(1, 3, 64, 64)) < 1e-12


def test_no_norm_of_a_batch_and_no_residual_remains():
    folded = scrambled().fold()
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    kinds = {type(b) for b in folded.encoder.blocks1} | {type(b) for b in folded.encoder.blocks4}
    assert kinds == {FoldedLocalBlock, FoldedGlobalBlock}


def test_folding_leaves_the_network_as_it_was_and_in_training():
    model = scrambled().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = fold(model)
    assert model.training
    assert not folded.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in folded.parameters())


def test_folded_network_has_fewer_parameters_at_the_published_size():
    with torch.device("meta"):
        model = MSLAUNet(9)
    torch.manual_seed(0)
    folded = MSLAUNet(9).fold()
    kernels = sum(
        b.attn.depthwise.weight.numel() for s in (3, 4) for b in folded.encoder.get_submodule(f"blocks{s}")
    )
    padding = kernels - sum(p.numel() for n, p in model.named_parameters() if "depthwise.weight" in n)
    count = sum(p.numel() for p in folded.parameters()) - padding
    assert count == 21_749_769  # the specification measured 21.76 M, with the affine second norms


@torch.no_grad()
def test_folded_bfloat16_stays_near_float32():
    model, x = scrambled().float(), image(1, 3, 64, 64, dtype=torch.float32)
    exact, half = model(x), model.fold().bfloat16()(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).abs().max() < 0.1 * exact.abs().max()


@pytest.mark.parametrize("kind", ["linear", "convolution"])
@pytest.mark.parametrize("epilogue", ["none", "gelu", "add"])
def test_fast_products_equal_the_ordinary_ones(kind, epilogue):
    """Inference takes oneDNN, a pass that needs gradients the ordinary operations."""
    torch.manual_seed(0)
    layer = nn.Linear(24, 40) if kind == "linear" else nn.Conv2d(24, 40, 1)
    x = torch.randn(2, 5, 7, 24)
    more = {"none": {}, "gelu": {"gelu": True}, "add": {"add": torch.randn(2, 5, 7, 40)}}[epilogue]
    ordinary = channel_product(x, layer, **more)
    assert ordinary.requires_grad
    with torch.inference_mode():
        fast = channel_product(x, layer, **more)
    torch.testing.assert_close(fast, ordinary)


@pytest.mark.parametrize("classes", [1, 3, 40])
@pytest.mark.parametrize("align_corners", [True, False])
def test_class_logits_equal_the_convolution_of_the_doubled_map(classes, align_corners):
    torch.manual_seed(0)
    conv, x = nn.Conv2d(64, classes, 3, padding=1).double(), image(2, 64, 5, 7).requires_grad_()
    received, expected = class_logits(x, conv, align_corners=align_corners), conv(double(x, align_corners))
    torch.testing.assert_close(received, expected)
    (received_gradient,) = torch.autograd.grad(received.square().sum(), x)
    (expected_gradient,) = torch.autograd.grad(expected.square().sum(), x)
    torch.testing.assert_close(received_gradient, expected_gradient)
