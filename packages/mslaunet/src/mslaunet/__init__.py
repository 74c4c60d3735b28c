"""MSLAU-Net: medical image segmentation with multi-scale linear attention (arXiv 2505.18823).

The public names are loaded on first use, so that `mslaunet --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .layers import MSLA as MSLA
    from .losses import DiceCELoss as DiceCELoss
    from .model import MSLAUNet as MSLAUNet
    from .official import load_official as load_official
    from .predict import load_predictor as load_predictor

_HOME = {
    "MSLA": "layers",
    "MSLAUNet": "model",
    "DiceCELoss": "losses",
    "load_official": "official",
    "load_predictor": "predict",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name == "__version__":
        return version("mslaunet")
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
