"""Try-on bench: one trustworthy evaluation of virtual try-on methods, with runnable baselines."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data.open import open_dataset as open_dataset
    from .data.predictions import resolve_predictions as resolve_predictions
    from .data.sample import Dataset as Dataset
    from .data.sample import Sample as Sample
    from .data.sample import clothing_mask as clothing_mask
    from .methods.catalogue import get_method as get_method
    from .protocol.presets import load_protocol as load_protocol
    from .protocol.schema import Protocol as Protocol
    from .synth.write import write_synthetic as write_synthetic

_HOME = {
    "Dataset": "data.sample",
    "Protocol": "protocol.schema",
    "Sample": "data.sample",
    "clothing_mask": "data.sample",
    "get_method": "methods.catalogue",
    "load_protocol": "protocol.presets",
    "open_dataset": "data.open",
    "resolve_predictions": "data.predictions",
    "write_synthetic": "synth.write",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
