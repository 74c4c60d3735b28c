"""Localisers against closed forms, other libraries, and the peers' batch bugs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from breastmri._shared.errors import ConfigError
from breastmri.attention import coam
from breastmri.geometry import CellGrid
from breastmri.model import BreastNet
from breastmri.saliency import (
    LOCALISERS,
    Heat,
    cam,
    coam_map,
    contribution_map,
    enhancement,
    flip_sets,
    grad_cam,
    integrated_gradients,
    localiser,
    occlusion,
    symmetrised,
)


def network(head="cosine", seed=0, **settings):
    torch.manual_seed(seed)
    net = BreastNet(2, backbone="tiny", head=head, **settings).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
    return net


X = torch.randn(3, 2, 8, 16, 16, generator=torch.Generator().manual_seed(1))


HEADS = ("cosine", "linear", "cosine-pair")
# the exact contributions add up to a cosine, which a linear head does not have
EXPLAINED = [(name, head) for name in LOCALISERS for head in HEADS if (name, head) != ("contribution", "linear")]


@pytest.mark.parametrize(("name", "head"), EXPLAINED)
def test_a_map_does_not_depend_on_its_neighbours(name, head):
    net = network(head)
    together = localiser(name)(net, X, 0)
    assert together.maps.shape[0] == 3
    alone = localiser(name)(net, X[1:2], 0)
    torch.testing.assert_close(together.maps[1:2], alone.maps, rtol=1e-4, atol=1e-6)
    assert bool(together.maps.isfinite().all())
    assert together.grid == alone.grid


def test_grad_cam_of_a_linear_head_is_the_rectified_cam_up_to_scale():
    net = network("linear", embed_dim=None)
    plain, graded = cam(net, X).maps, grad_cam(net, X).maps
    n = plain[0].numel()
    torch.testing.assert_close(graded * n, plain.relu(), rtol=1e-4, atol=1e-5)


def test_grad_cam_of_a_cosine_head_is_not_the_cam():
    net = network("cosine", embed_dim=None)
    with torch.no_grad():
        net.head.weight.uniform_(0, 1)
    a, b = cam(net, X[:1]).maps, grad_cam(net, X[:1]).maps
    assert b.max() > 0
    assert torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] < 0.99


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_grad_cam_agrees_with_monai_on_a_single_volume():
    from monai.visualize import GradCAM

    net = network("linear", embed_dim=None)
    with torch.no_grad():
        net.head.classifier.weight.uniform_(-0.5, 1)
    theirs = GradCAM(net, "backbone", postprocessing=lambda x: x, upsampler=lambda size: lambda x: x)
    for x in X.split(1):
        expected = theirs(x, class_idx=0)
        torch.testing.assert_close(grad_cam(net, x).maps[:, None], expected.relu(), rtol=1e-4, atol=1e-6)


def test_contributions_and_integrated_gradients_are_complete():
    net = network()
    torch.testing.assert_close(contribution_map(net, X).maps.sum((1, 2, 3)), net(X)[:, 0], rtol=1e-4, atol=1e-5)
    parts = integrated_gradients(net, X, steps=64).maps.sum((1, 2, 3))
    with torch.no_grad():
        difference = (net(X) - net(torch.zeros_like(X)))[:, 0]
    torch.testing.assert_close(parts, difference, rtol=0.05, atol=0.01)


def test_occlusion_is_the_fall_of_the_score():
    net = network()
    heat = occlusion(net, X, patch=(4, 8, 8), overlap=1)
    hidden = X.clone()
    hidden[:, :, 4:8, 8:16, 0:8] = 0
    with torch.no_grad():
        expected = (net(X) - net(hidden))[:, 0]
    torch.testing.assert_close(heat.maps[:, 1, 1, 0], expected, rtol=1e-4, atol=1e-6)
    assert heat.grid == CellGrid((4.0, 8.0, 8.0), (1.5, 3.5, 3.5))


def test_coam_map_is_the_gram_of_the_features():
    net = network()
    torch.testing.assert_close(coam_map(net, X).maps, coam(net.features(X)))


def test_enhancement_ignores_the_network_and_finds_the_brightest_blob():
    x = torch.zeros(1, 3, 8, 16, 16)
    x[0, 1, 5, 4:7, 9:12] = 2.0
    x[0, 1, 1, 1, 1] = 3.0  # one bright voxel
    heat = enhancement(1, (0.5, 1.0, 1.0))(network(), x, 0)
    assert np.unravel_index(int(heat.maps[0].argmax()), (8, 16, 16)) == (5, 5, 10)


def test_symmetrised_maps_flip_with_their_input():
    net = network()
    for flips in (2, 8):
        heat = symmetrised(coam_map, net, X, flips)
        mirrored = symmetrised(coam_map, net, X.flip((2, 3, 4)), flips)
        torch.testing.assert_close(mirrored.maps.flip((1, 2, 3)), heat.maps, rtol=1e-4, atol=1e-6)
    heat = symmetrised(coam_map, net, X, 8)
    mirrored = symmetrised(coam_map, net, X.flip((4,)), 8)
    torch.testing.assert_close(mirrored.maps.flip((3,)), heat.maps, rtol=1e-4, atol=1e-6)


def test_two_flips_cancel_a_shift_of_the_map():
    """A localiser that looks two voxels beside the truth, on a grid with an offset."""

    def shifted(net, x, task):
        return Heat(x[:, 0].roll(2, dims=3)[:, ::1, ::2, ::2], CellGrid((1.0, 2.0, 2.0), (0.0, 0.0, 0.0)))

    x = torch.zeros(1, 2, 9, 17, 17)
    x[0, 0, 4, 8, 8] = 1
    heat = symmetrised(shifted, network(), x, 2)
    cells = heat.maps[0].numpy()
    center = (np.argwhere(cells > 0) * cells[cells > 0][:, None]).sum(0) / cells.sum()
    voxel = np.array(heat.grid.offset) + center * np.array(heat.grid.stride)
    np.testing.assert_allclose(voxel, (4, 8, 8), atol=1e-6)


def test_flip_sets_and_names_are_checked():
    assert len(flip_sets(8)) == len(set(flip_sets(8))) == 8
    with pytest.raises(ConfigError, match="expected 1, 2 or 8 flips, got 4"):
        flip_sets(4)
    with pytest.raises(ConfigError, match="expected a localiser among coam"):
        localiser("score-cam")
