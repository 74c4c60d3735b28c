"""The Inception-v3 of FID, KID and IS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .._shared.errors import CheckpointError
from .._shared.foreign import read_foreign_weights
from .weights import INCEPTION, find_weights


class FIDInception(nn.Module):
    """TensorFlow's Inception of 2015 with the pooling quirks that FID numbers rest on.

    The blocks are torch-fidelity's; its own extractor is not used, because it downloads weights, unpickles them
    without restriction and always resizes like TensorFlow 1.

    Attributes:
        weights: what the weights are, for the protocol stamp.
    """

    def __init__(self, *, weights_dir: Path | None = None, random_seed: int | None = None) -> None:
        """Load it.

        Args:
            weights_dir: folder with `pt_inception-2015-12-05-6726825d.pth`.
            random_seed: take seeded random weights instead; numbers are then NOT COMPARABLE.

        Raises:
            CheckpointError: the file is missing or another one.
        """
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random_seed or 0)
            self._build()
            for layer in self.modules():
                if random_seed is not None and isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight)  # the default dies out over so many layers
        self.weights = f"random({random_seed})" if random_seed is not None else self._load(weights_dir)
        self.requires_grad_(False).eval()

    def _build(self) -> None:
        from torch_fidelity import feature_extractor_inceptionv3 as parts

        def conv(*args: int, **options: int) -> Any:
            return parts.BasicConv2d(*args, **options)

        self.Conv2d_1a_3x3 = conv(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        mixed = {
            "5b": parts.InceptionA(192, pool_features=32),
            "5c": parts.InceptionA(256, pool_features=64),
            "5d": parts.InceptionA(288, pool_features=64),
            "6a": parts.InceptionB(288),
            "6b": parts.InceptionC(768, channels_7x7=128),
            "6c": parts.InceptionC(768, channels_7x7=160),
            "6d": parts.InceptionC(768, channels_7x7=160),
            "6e": parts.InceptionC(768, channels_7x7=192),
            "7a": parts.InceptionD(768),
            "7b": parts.InceptionE_1(1280),
            "7c": parts.InceptionE_2(2048),
        }
        self._mixed = [f"Mixed_{name}" for name in mixed]
        for name, block in mixed.items():
            self.add_module(f"Mixed_{name}", block)
        self.fc = nn.Linear(2048, 1008)

    def _load(self, weights_dir: Path | None) -> str:
        path, digest = find_weights(INCEPTION, weights_dir)
        try:
            self.load_state_dict(read_foreign_weights(path))
        except RuntimeError as err:
            raise CheckpointError(
                f"{path.name}: its tensors are not those of FID's Inception; get the file again"
            ) from err
        return f"{path.name}:{digest[:16]}"

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features and logits.

        Args:
            images: (B, 3, 299, 299) float in 0..255, resized already.

        Returns:
            (B, 2048) features, and (B, 1008) logits without the bias, which is what IS has always been computed from.
        """
        x = (images - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name in self._mixed:
            x = getattr(self, name)(x)
        features = x.mean(dim=(2, 3))
        return features, features @ self.fc.weight.T

    def pooled(self, images: Tensor) -> Tensor:
        """The features alone, (B, 2048)."""
        return self(images)[0]

    def fused(self) -> FIDInception:
        """Itself, with every batch norm folded into the convolution before it: the same features, to rounding."""
        layers: list[Any] = list(self.modules())
        for layer in layers:
            if isinstance(getattr(layer, "bn", None), nn.BatchNorm2d):
                layer.conv = fuse_conv_bn_eval(layer.conv, layer.bn)
                layer.bn = nn.Identity()
        return self.requires_grad_(False)
