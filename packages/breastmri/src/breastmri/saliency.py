"""Where a network looks: class activation, gradients, input perturbation; each volume by itself, whatever its batch.

Every localiser takes a network in eval mode and volumes (B, C, D, H, W) and returns maps (B, D', H', W') for one task,
larger where the positive answer comes from, with the grid of its cells.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ._shared.errors import ConfigError
from .attention import coam
from .geometry import VOXELS, CellGrid
from .model import BreastNet


class Heat(NamedTuple):
    """Maps (B, D', H', W') float32 and where their cells lie."""

    maps: Tensor
    grid: CellGrid


Localiser = Callable[[BreastNet, Tensor, int], Heat]
_CHUNK = 8  # perturbed volumes in one forward pass


def coam_map(net: BreastNet, x: Tensor, task: int = 0) -> Heat:
    """COAM of the paper's reading: class-agnostic, no gradient."""
    return Heat(coam(_features(net, x)), net.cells)


def weighted_coam_map(net: BreastNet, x: Tensor, task: int = 0) -> Heat:
    """COAM with channels weighted by the positive class weights."""
    with torch.no_grad():
        return Heat(net.weighted_coam(net.features(x), task), net.cells)


def contribution_map(net: BreastNet, x: Tensor, task: int = 0) -> Heat:
    """Exact additive parts of the cosine; cosine heads only."""
    with torch.no_grad():
        return Heat(net.contributions(net.features(x))[:, task], net.cells)


def cam(net: BreastNet, x: Tensor, task: int = 0) -> Heat:
    """Class activation map A^T E^T w (Zhou et al. 2016)."""
    with torch.no_grad():
        features = net.features(x).float()
        return Heat(torch.einsum("bcdhw,c->bdhw", features, net.directions()[task].float()), net.cells)


def grad_cam(net: BreastNet, x: Tensor, task: int = 0) -> Heat:
    """relu(sum_c mean_i(dz / dA_ci) A_c) (Selvaraju et al. 2017)."""
    features, gradient = _feature_gradient(net, x, task)
    weights = gradient.mean((2, 3, 4), keepdim=True)
    return Heat((weights * features).sum(1).relu(), net.cells)


def grad_cam_plus_plus(net: BreastNet, x: Tensor, task: int = 0) -> Heat:
    """Weights sum_i alpha relu(dz / dA), alpha = g^2 / (2 g^2 + g^3 sum_i A) (Chattopadhay et al. 2018)."""
    features, g = _feature_gradient(net, x, task)
    below = 2 * g**2 + g**3 * features.sum((2, 3, 4), keepdim=True)
    alpha = torch.where(below != 0, g**2 / below.where(below != 0, torch.ones_like(below)), 0.0)
    weights = (alpha * g.relu()).sum((2, 3, 4), keepdim=True)
    return Heat((weights * features).sum(1).relu(), net.cells)


def hires_cam(net: BreastNet, x: Tensor, task: int = 0) -> Heat:
    """relu(sum_c dz / dA * A) (Draelos and Carin 2020)."""
    features, gradient = _feature_gradient(net, x, task)
    return Heat((gradient * features).sum(1).relu(), net.cells)


def layer_cam(net: BreastNet, x: Tensor, task: int = 0) -> Heat:
    """relu(sum_c relu(dz / dA) A) (Jiang et al. 2021)."""
    features, gradient = _feature_gradient(net, x, task)
    return Heat((gradient.relu() * features).sum(1).relu(), net.cells)


def integrated_gradients(net: BreastNet, x: Tensor, task: int = 0, *, steps: int = 16) -> Heat:
    """Input times the mean gradient on the line from an empty breast, zeros, to it (Sundararajan et al. 2017).

    Summed over channels; midpoint rule; the map adds up to score(x) - score(0) but for the rule's error.
    """
    total = torch.zeros_like(x)
    for step in range(steps):
        point = (x * ((step + 0.5) / steps)).requires_grad_()
        with torch.enable_grad():
            total += torch.autograd.grad(net(point)[:, task].sum(), point)[0]
    return Heat((x * total / steps).sum(1), VOXELS)


def occlusion(
    net: BreastNet, x: Tensor, task: int = 0, *, patch: tuple[int, int, int] = (4, 8, 8), overlap: int = 2
) -> Heat:
    """Fall of the score when a box is emptied (Zeiler and Fergus 2014); boxes overlap by 1 / `overlap` of a side."""
    size = [min(p, n) for p, n in zip(patch, x.shape[2:], strict=True)]
    stride = [max(1, p // overlap) for p in size]
    starts = [range(0, n - p + 1, s) for n, p, s in zip(x.shape[2:], size, stride, strict=True)]
    with torch.no_grad():
        whole = net(x)[:, task].float()
        drops = [_drops(net, volume, task, list(product(*starts)), size) for volume in x]
    maps = whole[:, None] - torch.stack(drops)
    a, b, c = ((p - 1) / 2 for p in size)
    grid = CellGrid((float(stride[0]), float(stride[1]), float(stride[2])), (a, b, c))
    return Heat(maps.reshape(len(x), *(len(s) for s in starts)), grid)


def _drops(net: BreastNet, volume: Tensor, task: int, starts: list[tuple[int, ...]], size: list[int]) -> Tensor:
    scores = []
    for first in range(0, len(starts), _CHUNK):
        group = starts[first : first + _CHUNK]
        batch = volume.repeat(len(group), 1, 1, 1, 1)
        for sample, corner in zip(batch, group, strict=True):
            box = tuple(slice(a, a + p) for a, p in zip(corner, size, strict=True))
            sample[(slice(None), *box)] = 0
        scores.append(net(batch)[:, task].float())
    return torch.cat(scores)


def enhancement(channel: int, sigma_voxels: tuple[float, float, float]) -> Localiser:
    """The baseline without a network: the smoothed first subtraction. A localiser that does not beat it is useless.

    Args:
        channel: of the input, S_1 - S_0, which is 0 outside the breast.
        sigma_voxels: Gaussian along (d, h, w).
    """

    def locate(net: BreastNet, x: Tensor, task: int = 0) -> Heat:
        heat = x[:, channel : channel + 1].float().clamp(min=0)
        for axis, sigma in enumerate(sigma_voxels):
            heat = _blur(heat, axis + 2, sigma)
        return Heat(heat[:, 0], VOXELS)

    return locate


def _blur(x: Tensor, axis: int, sigma: float) -> Tensor:
    reach = max(1, round(3 * sigma))
    t = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (t / max(sigma, 1e-3)) ** 2)
    shape, padding = [1] * 5, [0] * 3
    shape[axis], padding[axis - 2] = len(t), reach
    return F.conv3d(x, (kernel / kernel.sum()).reshape(shape), padding=padding)


LOCALISERS: dict[str, Localiser] = {
    "coam": coam_map,
    "coam-weighted": weighted_coam_map,
    "contribution": contribution_map,
    "cam": cam,
    "grad-cam": grad_cam,
    "grad-cam++": grad_cam_plus_plus,
    "hires-cam": hires_cam,
    "layer-cam": layer_cam,
    "occlusion": occlusion,
    "integrated-gradients": integrated_gradients,
}


def localiser(name: str) -> Localiser:
    """Localiser of a name.

    Raises:
        ConfigError: another name.
    """
    if name not in LOCALISERS:
        raise ConfigError(f"expected a localiser among {', '.join(LOCALISERS)}, got {name!r}")
    return LOCALISERS[name]


def flip_sets(flips: int) -> list[tuple[int, ...]]:
    """Axes to flip in each pass: none; none and all (2); all subsets (8).

    Raises:
        ConfigError: another number.
    """
    if flips not in (1, 2, 8):
        raise ConfigError(f"expected 1, 2 or 8 flips, got {flips}")
    subsets = [
        tuple(axis for axis, used in zip((2, 3, 4), bits, strict=True) if used)
        for bits in product((0, 1), repeat=3)
    ]
    return subsets if flips == 8 else [(), (2, 3, 4)][:flips]


def flipped_heats(locate: Localiser, net: BreastNet, x: Tensor, flips: int, task: int = 0) -> list[Heat]:
    """One map per flip of the input, each flipped back; their cells share the grid of the mean of all flips."""
    heats = []
    for axes in flip_sets(flips):
        heat = locate(net, x.flip(axes), task)
        heats.append(Heat(heat.maps.flip([axis - 1 for axis in axes]), heat.grid))
    return heats


def symmetrised(locate: Localiser, net: BreastNet, x: Tensor, flips: int = 2, task: int = 0) -> Heat:
    """Mean of the maps of flipped inputs: cancels the offset of receptive fields and learnt shifts.

    Two flips average x and the flip of all axes, eight average all subsets. One flip is the plain map.
    """
    heats = flipped_heats(locate, net, x, flips, task)
    if flips == 1:
        return heats[0]
    maps = torch.stack([heat.maps for heat in heats]).mean(0)
    grid = CellGrid.centred(heats[0].grid.stride, tuple(x.shape[2:]), tuple(maps.shape[1:]))
    return Heat(maps, grid)


def _features(net: BreastNet, x: Tensor) -> Tensor:
    with torch.no_grad():
        return net.features(x)


def _feature_gradient(net: BreastNet, x: Tensor, task: int) -> tuple[Tensor, Tensor]:
    """Features and d score / d features; the sum over the batch keeps every volume's gradient its own."""
    features = _features(net, x).float().requires_grad_()
    with torch.enable_grad():
        score = net.scores(net.outputs(features))[:, task].sum()
        gradient = torch.autograd.grad(score, features)[0]
    return features.detach(), gradient
