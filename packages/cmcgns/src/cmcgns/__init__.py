"""CM-CGNS: chest X-ray and report pretraining with cluster-guided negatives (arXiv 2506.11674).

The public names are loaded on first use, so that `cmcgns --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import CMCGNS as CMCGNS
    from .weights import load as load
    from .weights import save as save

_HOME = {"CMCGNS": "model", "load": "weights", "save": "weights"}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name == "__version__":
        return version("cmcgns")
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
