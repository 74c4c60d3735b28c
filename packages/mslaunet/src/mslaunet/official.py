"""Load weights of the official MSLAU-Net code, reporting what became of every tensor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ._shared.checkpoints import load_strict
from ._shared.errors import CheckpointError, ConfigError
from ._shared.foreign import read_foreign_weights, state_dict_of
from ._shared.logs import get_logger
from .model import MSLAUNet

log = get_logger(__name__)

_FIRST_CONV = "encoder.patch_embed1.proj.weight"
_DEAD = ("encoder.norm.", "encoder.head.")  # created by the official encoder, never called
_DECODER = ("conv_mla.", "mlahead.", "seg.")


@dataclass(frozen=True)
class LoadReport:
    """What `load_official` did with each tensor, by its official name.

    Every tensor of the file is in exactly one of used, reshaped, ignored, unexpected; every tensor of the model is
    in exactly one of used, reshaped, missing.

    Attributes:
        source: name of the file.
        preset: the preset chosen for the model.
        used: loaded as they are.
        reshaped: loaded after a conversion of their shape (first convolution, for another number of channels).
        missing: not in the file, or of other classes: left at initialisation.
        ignored: known and not needed: the encoder's unused norm and classifier, the head of other classes.
        unexpected: unknown names, not loaded.
        what: kind of the weights.
    """

    source: str
    preset: str
    used: tuple[str, ...]
    reshaped: tuple[str, ...]
    missing: tuple[str, ...]
    ignored: tuple[str, ...]
    unexpected: tuple[str, ...]
    what: str = "official weights"

    def __str__(self) -> str:
        groups = ("used", "reshaped", "missing", "ignored", "unexpected")
        selected = " selected" if self.what == "official weights" else ""
        counts = ", ".join(f"{len(getattr(self, name))} {name}" for name in groups)
        return f"{self.source}: {self.what}, preset {self.preset!r}{selected}; tensors: {counts}"


def load_official(
    path_or_state_dict: str | Path | Mapping[str, Any],
    num_classes: int | None = None,
    in_channels: int | None = None,
    *,
    head_dim: int = 64,
    trained_size: Sequence[int] | None = (224, 224),
) -> tuple[MSLAUNet, LoadReport]:
    """Build the network that a file of official weights belongs to, and load them.

    The preset is "official"; widths, depths, kernels and classes are read from the tensors; the weights keep their
    dtype. Accepted: a state dict, bare or under `model`, `state_dict` or `model_state_dict`, with or without
    `module.` and `_orig_mod.` prefixes; the whole network, or the encoder alone (its decoder is then left at
    initialisation). Any other gap is an error: nothing is loaded in part without being asked for.

    Args:
        path_or_state_dict: file (`.pth`, `.pt`, `.safetensors`) or what is in it.
        num_classes: classes wanted; by default those of the weights. With another number, the last convolution is
            left at initialisation. Needed for an encoder alone.
        in_channels: image channels wanted; by default those of the weights. See `inflate_input_kernels`; with 1,
            the network computes what the official one does when it repeats one channel three times.
        head_dim: width over heads; the tensors do not tell it.
        trained_size: (height, width) in pixels at which the weights were trained; the tensors do not tell it. 224
            is the official default, CVC-ClinicDB was run at 256. At another size the network warns, because its
            legacy layout ties the weights to the token grid; None: no warning.

    Returns:
        The network, in training mode, and a report of used, reshaped, missing, ignored and unexpected tensors.

    Raises:
        CheckpointError: unreadable, unsafe, damaged, or not weights of this network.
        ConfigError: num_classes is needed, or an argument does not fit the network.

    Example:
        >>> weights = MSLAUNet.variant("tiny", num_classes=2, preset="official").state_dict()
        >>> model, report = load_official({"model": weights}, head_dim=16)
        >>> len(report.used) == len(weights), report.missing, report.preset
        (True, (), 'official')
    """
    if isinstance(path_or_state_dict, Mapping):
        source = "state dict"
        tensors = state_dict_of(dict(path_or_state_dict), source)
    else:
        path = Path(path_or_state_dict)
        source, tensors = path.name, read_foreign_weights(path)
    if not any(name.startswith("encoder.") for name in tensors):
        tensors = {f"encoder.{name}": value for name, value in tensors.items()}
    _require_finite(tensors, source)

    sizes = _infer_sizes(tensors, source)
    wanted = {"num_classes": num_classes, "in_channels": in_channels}
    arguments = sizes | {name: value for name, value in wanted.items() if value is not None}
    if "num_classes" not in arguments:
        raise ConfigError(f"{source}: an encoder alone does not tell its classes, give num_classes")
    model = MSLAUNet(**arguments, preset="official", head_dim=head_dim, trained_size=trained_size)
    model.to(reduce(torch.promote_types, (t.dtype for t in tensors.values() if t.is_floating_point())))
    report = _load(model, tensors, source, same_classes=arguments["num_classes"] == sizes.get("num_classes"))
    (log.warning if report.missing or report.unexpected else log.info)("%s", report)
    return model, report


def inflate_input_kernels(weight: Tensor, in_channels: int) -> Tensor:
    """First-convolution kernels for another number of image channels (our choice).

    Every new channel gets the sum of the old kernels over their channels, divided by the new number of channels:
    an image whose channels are all equal gives the response it gave before. For one channel that is the sum of the
    RGB kernels, exactly what repeating the channel three times computes.

    Args:
        weight: (out, old, height, width).
        in_channels: new number of channels.

    Returns:
        (out, in_channels, height, width); `weight` itself if the number does not change.

    Example:
        >>> inflate_input_kernels(torch.ones(1, 3, 1, 1), 2).flatten().tolist()
        [1.5, 1.5]
    """
    if weight.shape[1] == in_channels:
        return weight
    return (weight.sum(1, keepdim=True) / in_channels).repeat(1, in_channels, 1, 1)


def _load(model: MSLAUNet, tensors: dict[str, Tensor], source: str, *, same_classes: bool) -> LoadReport:
    """Load what fits, leave at initialisation what may be missing, refuse the rest."""
    initial = model.state_dict()
    ignored = {name for name in tensors if name.startswith(_DEAD)}
    if not same_classes:
        ignored |= {name for name in tensors if name.startswith("seg.")}
    unexpected = {name for name in tensors if name not in initial} - ignored
    loaded = {name: value for name, value in tensors.items() if name not in ignored | unexpected}

    reshaped = set()
    in_channels = model.config["in_channels"]
    if loaded[_FIRST_CONV].shape[1] != in_channels:
        loaded[_FIRST_CONV] = inflate_input_kernels(loaded[_FIRST_CONV], in_channels)
        reshaped = {_FIRST_CONV}

    encoder_alone = not any(name.startswith(_DECODER) for name in tensors)
    optional = _DECODER if encoder_alone else () if same_classes else ("seg.",)
    missing = {name for name in initial if name not in loaded and name.startswith(optional)}
    load_strict(model, {name: initial[name] for name in missing} | loaded, source)

    def listed(names: set[str]) -> tuple[str, ...]:
        return tuple(sorted(names))

    return LoadReport(
        source,
        model.config["preset"],
        used=listed(set(loaded) - reshaped),
        reshaped=listed(reshaped),
        missing=listed(missing),
        ignored=listed(ignored),
        unexpected=listed(unexpected),
    )


def _infer_sizes(tensors: dict[str, Tensor], source: str) -> dict[str, Any]:
    """Constructor arguments that the tensors tell; no num_classes and decoder_channels for an encoder alone."""
    try:
        dims = [tensors[f"encoder.patch_embed{stage}.proj.weight"].shape[0] for stage in range(1, 5)]
        sizes: dict[str, Any] = {
            "in_channels": tensors[_FIRST_CONV].shape[1],
            "embed_dims": dims,
            "depths": [len(_matches(rf"encoder\.blocks{stage}\.(\d+)\.", tensors)) for stage in range(1, 5)],
            "mlp_ratio": tensors["encoder.blocks1.0.mlp.fc1.weight"].shape[0] / dims[0],
            "kernel_sizes": _matches(r"encoder\.blocks3\.0\.attn\.dw_conv_(\d+)x", tensors),
        }
        if any(name.startswith(_DECODER) for name in tensors):
            sizes["decoder_channels"] = tensors["conv_mla.mla_p4.0.weight"].shape[0]
            sizes["num_classes"] = tensors["seg.weight"].shape[0]
    except (KeyError, IndexError) as err:
        raise CheckpointError(
            f"{source}: expected MSLAU-Net weights, but {err.args[0]} is missing or cut; it has {len(tensors)} "
            f"tensors, the first is {next(iter(tensors))}"
        ) from err
    return sizes


def _matches(pattern: str, names: Mapping[str, Any]) -> list[int]:
    """The different numbers that a pattern finds in the names, in order."""
    return sorted({int(match[1]) for name in names if (match := re.match(pattern, name))})


def _require_finite(tensors: dict[str, Tensor], source: str) -> None:
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise CheckpointError(f"{source}: {name} holds NaN or infinite values; the file is damaged")
