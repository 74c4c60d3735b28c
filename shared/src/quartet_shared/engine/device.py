"""The device that was asked for, or an error: never a silent fall-back to the CPU."""

from __future__ import annotations

import torch

from ..errors import ConfigError, ResourceError


def resolve_device(name: str = "auto") -> torch.device:
    """Device of a name.

    Args:
        name: "cpu", "cuda", "cuda:1", "mps", or "auto": the first of cuda, mps, cpu that this machine has.

    Raises:
        ConfigError: not a device name.
        ResourceError: this machine or this build of torch does not have it.

    Example:
        >>> resolve_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if _count(kind)))
    try:
        device = torch.device(name)
    except RuntimeError as err:
        raise ConfigError(f"expected a device among auto, cpu, cuda, cuda:N, mps, got {name!r}") from err
    if (device.index or 0) >= _count(device.type):
        raise ResourceError(
            f"device {name!r} is not available here: use --device auto or cpu, or check the driver"
        )
    return device


def _count(kind: str) -> int:
    """How many devices of a kind can be used."""
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return int(kind == "cpu" or (kind == "mps" and torch.backends.mps.is_available()))
