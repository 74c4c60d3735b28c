"""Breast DCE-MRI study in, calibrated tumour probability and aligned localisation map out (arXiv 1906.02999).

The public names are loaded on first use, so that `breastmri --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attention import coam as coam
    from .layers import CosineHead as CosineHead
    from .losses import CMSLoss as CMSLoss
    from .model import BreastNet as BreastNet

_HOME = {"CMSLoss": "losses", "CosineHead": "layers", "coam": "attention", "BreastNet": "model"}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name == "__version__":
        return version("breastmri")
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
