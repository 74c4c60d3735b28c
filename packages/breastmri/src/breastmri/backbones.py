"""Three-dimensional backbones: volumes -> non-negative feature maps, with where their cells lie in the input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from ._shared.errors import ConfigError, DataError
from .geometry import CellGrid

BackboneName = Literal["tiny", "resnet3d18", "resnet3d34", "densenet3d121"]
OutputStride = Literal[8, 16, 32]
_LAYERS = {"resnet3d18": (2, 2, 2, 2), "resnet3d34": (3, 4, 6, 3)}
_TINY = ((12, (1, 2, 2)), (24, (1, 1, 1)), (32, (2, 2, 2)), (32, (1, 1, 1)))  # channels and stride of each layer


class Backbone(nn.Module):
    """Features after ReLU, (B, C, D', H', W').

    Attributes:
        channels: C.
        cells: where the cells lie among the voxels of the input.
        smallest: voxels that an input needs along each axis.
    """

    def __init__(self, body: nn.Sequential, channels: int, smallest: int = 1) -> None:
        super().__init__()
        self.body = body
        self.smallest = smallest
        self.channels = channels
        self.cells = receptive_cells(body)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, D, H, W) -> (B, C, D', H', W'), not negative.

        Raises:
            DataError: the volume is too small for the pooling of this backbone.
        """
        if min(x.shape[2:]) < self.smallest:
            raise DataError(
                f"expected at least {self.smallest} voxels along each axis, got {tuple(x.shape[2:])}: enlarge "
                "preprocessing.size, or take a resnet or a smaller output_stride"
            )
        return F.relu(self.body(x))


def make_backbone(name: BackboneName, in_channels: int, output_stride: OutputStride | None = None) -> Backbone:
    """A backbone of a name; random weights (none are public for this task).

    `tiny`: four 3x3x3 convolutions with batch norm, 32 channels, stride (2, 4, 4), ours, for small phantoms and tests.
    The others are MONAI's networks with a stem of stride 2. A smaller `output_stride` drops the stride of the last
    stages and dilates them instead: a map of four cells cannot locate a 10 mm lesion.

    Args:
        name: which.
        in_channels: channels of the input.
        output_stride: voxels per cell, 32 by default; not for tiny.

    Raises:
        ConfigError: unknown name, or an output stride that it cannot have.
    """
    if name == "tiny":
        if output_stride is not None:
            raise ConfigError(
                f"backbone tiny has stride 2 x 4 x 4, output_stride {output_stride} is for the others"
            )
        return _tiny(in_channels)
    if output_stride not in (None, 8, 16, 32):
        raise ConfigError(f"expected output_stride 8, 16 or 32, got {output_stride}")
    if name in _LAYERS:
        return _resnet(_LAYERS[name], in_channels, output_stride or 32)
    if name == "densenet3d121":
        return _densenet(in_channels, output_stride or 32)
    raise ConfigError(f"expected a backbone among {', '.join(get_args(BackboneName))}, got {name!r}")


def receptive_cells(body: nn.Module) -> CellGrid:
    """Stride and centre of the receptive fields.

    Layer by layer, with kernel k, padding p and dilation d: offset += (d (k - 1) / 2 - p) jump; jump *= stride. So a
    ResNet's cell i is centred at voxel 32 i, not at the middle of its block 32 i + 15.5; a DenseNet's at 32 i + 14.
    """
    offset, jump = [0.0] * 3, [1.0] * 3
    for layer in _main_path(body):
        k, s, p, d = (
            _triple(getattr(layer, name, 1)) for name in ("kernel_size", "stride", "padding", "dilation")
        )
        for axis in range(3):
            offset[axis] += (d[axis] * (k[axis] - 1) / 2 - p[axis]) * jump[axis]
            jump[axis] *= s[axis]
    return CellGrid((jump[0], jump[1], jump[2]), (offset[0], offset[1], offset[2]))


def _main_path(body: nn.Module) -> Iterator[nn.Module]:
    for name, layer in body.named_modules():
        if isinstance(layer, nn.Conv3d | nn.MaxPool3d | nn.AvgPool3d) and ".downsample." not in f".{name}.":
            yield layer


def _triple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value,) * 3 if isinstance(value, int) else tuple(value)


def _tiny(in_channels: int) -> Backbone:
    layers: list[nn.Module] = []
    for channels, stride in _TINY:
        layers += [
            nn.Conv3d(in_channels, channels, 3, stride, 1, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(inplace=True),
        ]
        in_channels = channels
    return Backbone(nn.Sequential(*layers), in_channels)


def _resnet(layers: tuple[int, ...], in_channels: int, output_stride: int) -> Backbone:
    from monai.networks.nets.resnet import ResNet

    # shortcut B: MONAI's A cuts the gradient of the shortcut (`out.data`)
    net = ResNet(
        "basic",
        list(layers),
        [64, 128, 256, 512],
        n_input_channels=in_channels,
        conv1_t_stride=2,
        feed_forward=False,
        shortcut_type="B",
        bias_downsample=False,
    )
    stages = [net.layer1, net.layer2, net.layer3, net.layer4]
    for stage, dilation in zip(stages[2:], _dilations(output_stride), strict=True):
        _dilate(stage, dilation)
    return Backbone(nn.Sequential(net.conv1, net.bn1, net.act, net.maxpool, *stages), 512)


def _densenet(in_channels: int, output_stride: int) -> Backbone:
    from monai.networks.nets.densenet import DenseNet121

    body = DenseNet121(spatial_dims=3, in_channels=in_channels, out_channels=1).features
    for number, dilation in zip((2, 3), _dilations(output_stride), strict=True):
        if dilation > 1:
            body.get_submodule(f"transition{number}").pool = nn.Identity()
            _dilate(body.get_submodule(f"denseblock{number + 1}"), dilation)
    return Backbone(body, 1024, smallest=output_stride)


def _dilations(output_stride: int) -> tuple[int, int]:
    """Dilation of the last two stages."""
    return {32: (1, 1), 16: (1, 2), 8: (2, 4)}[output_stride]


def _dilate(stage: nn.Module, dilation: int) -> None:
    """Give up the stride of a stage for dilation; sizes and weights stay."""
    if dilation == 1:
        return
    for layer in stage.modules():
        if isinstance(layer, nn.Conv3d):
            layer.stride = (1, 1, 1)
            if layer.kernel_size == (3, 3, 3):
                layer.dilation = layer.padding = (dilation,) * 3
