"""Backbones: strides, receptive fields by back-propagation, gradients, sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from breastmri._shared.errors import ConfigError, DataError
from breastmri.backbones import make_backbone
from breastmri.model import BreastNet, seeded_net

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def all_ones(backbone):
    """Every convolution sums, every norm passes: the gradient of a cell then shows its receptive field."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.constant_(module.weight, 1.0 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if isinstance(module, nn.BatchNorm3d):
            module.reset_running_stats()
    return backbone.eval()


def receptive_center(backbone, size, cell):
    """Centroid of the gradient of one inner cell along the last axis."""
    x = torch.ones(1, 1, *size, requires_grad=True)
    backbone(x)[0, :, *cell].sum().backward()
    profile = x.grad[0, 0].sum((0, 1))
    return float((profile * torch.arange(len(profile))).sum() / profile.sum())


@pytest.mark.parametrize(
    ("name", "output_stride", "stride", "offset"),
    [
        ("tiny", None, (2, 4, 4), 0.0),
        ("resnet3d18", 16, (16, 16, 16), 0.0),
        ("resnet3d18", 32, (32, 32, 32), 0.0),
        ("densenet3d121", 8, (8, 8, 8), 2.0),
        ("densenet3d121", 16, (16, 16, 16), 6.0),
        ("densenet3d121", 32, (32, 32, 32), 14.0),
    ],
)
def test_cells_lie_where_the_layers_say(name, output_stride, stride, offset):
    backbone = make_backbone(name, 1, output_stride)
    assert backbone.cells.stride == stride
    assert backbone.cells.offset == (offset,) * 3
    features = backbone.eval()(torch.zeros(1, 1, 32, 64, 64))
    assert features.shape[1] == backbone.channels
    assert features.shape[2:] == tuple(-(-n // s) for n, s in zip((32, 64, 64), stride, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "output_stride"), [("tiny", None), ("resnet3d18", 8), ("densenet3d121", 8)])
def test_receptive_fields_are_centred_where_they_are_said_to_be(name, output_stride):
    torch.manual_seed(0)
    backbone = all_ones(make_backbone(name, 1, output_stride))
    # max pooling of a constant picks the first of equal voxels, so average pooling takes its place here
    for module in list(backbone.modules()):
        for child, layer in module.named_children():
            if isinstance(layer, nn.MaxPool3d):
                setattr(module, child, nn.AvgPool3d(3, 2, 1))
    length = 256
    cells = round(length / backbone.cells.stride[2])
    found = receptive_center(backbone, (16, 16, length), (0, 0, cells // 2))
    expected = backbone.cells.offset[2] + backbone.cells.stride[2] * (cells // 2)
    assert found == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize("name", ["tiny", "resnet3d18", "densenet3d121"])
def test_gradient_reaches_every_parameter_and_features_are_not_negative(name):
    net = BreastNet(2, backbone=name)
    features = net.features(torch.randn(2, 2, 32, 32, 32))
    assert features.min() >= 0
    net.scores(net.outputs(features)).sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters())


def test_resnet34_is_deeper_and_the_seed_decides_the_weights():
    a, b = (seeded_net(3, in_channels=1, backbone="resnet3d34") for _ in range(2))
    assert sum(p.numel() for p in a.parameters()) > 63e6
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("pooling", ["avg", "gem", "lse", "topk", "attention"])
def test_every_pooling_is_trainable_and_batch_independent(pooling):
    net = BreastNet(2, backbone="tiny", pooling=pooling).eval()
    x = torch.randn(3, 2, 8, 16, 16)
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]), rtol=1e-4, atol=1e-6)
    net(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_a_cosine_pair_scores_by_the_difference():
    net = BreastNet(2, backbone="tiny", head="cosine-pair").eval()
    x = torch.randn(2, 2, 8, 16, 16)
    outputs = net.outputs(net.features(x))
    assert outputs.shape == (2, 2)
    torch.testing.assert_close(net(x)[:, 0], outputs[:, 1] - outputs[:, 0])


def test_contributions_add_up_to_the_score_for_every_weighted_pooling():
    for pooling in ("avg", "topk", "attention"):
        for head in ("cosine", "cosine-pair"):
            net = BreastNet(2, backbone="tiny", head=head, pooling=pooling).eval()
            x = torch.randn(2, 2, 8, 16, 16)
            parts = net.contributions(net.features(x))
            torch.testing.assert_close(parts.flatten(2).sum(2), net(x), rtol=1e-4, atol=1e-5)


def test_senseless_settings_are_refused():
    with pytest.raises(ConfigError, match="tiny has stride 2 x 4 x 4"):
        make_backbone("tiny", 1, 8)
    with pytest.raises(ConfigError, match="expected output_stride 8, 16 or 32, got 4"):
        make_backbone("resnet3d18", 1, 4)
    with pytest.raises(ConfigError, match="expected a backbone among tiny"):
        make_backbone("vgg", 1)
    with pytest.raises(ConfigError, match="expected a head among"):
        BreastNet(1, backbone="tiny", head="mlp")
    with pytest.raises(ConfigError, match="need a cosine head"):
        BreastNet(1, backbone="tiny", head="linear").contributions(torch.zeros(1, 32, 2, 2, 2))
    with pytest.raises(DataError, match="expected at least 32 voxels along each axis"):
        BreastNet(1, backbone="densenet3d121")(torch.zeros(1, 1, 16, 64, 64))
    with pytest.raises(DataError, match=r"expected \(B, 3, D, H, W\)"):
        BreastNet(3, backbone="tiny")(torch.zeros(1, 2, 8, 8, 8))
