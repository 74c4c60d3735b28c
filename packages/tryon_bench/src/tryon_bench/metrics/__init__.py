"""Metrics as pure functions on arrays; loaded when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .classifier import inception_score as inception_score
    from .frechet import frechet_distance as frechet_distance
    from .frechet import frechet_from_moments as frechet_from_moments
    from .kernels import cmmd as cmmd
    from .kernels import kid as kid
    from .manifold import precision_recall_density_coverage as precision_recall_density_coverage
    from .pixels import colour_difference as colour_difference
    from .pixels import psnr as psnr
    from .structural import ms_ssim as ms_ssim
    from .structural import ssim as ssim
    from .structural import ssim_map as ssim_map
    from .warps import end_point_error as end_point_error

# No module may carry the name of a function, or importing it would replace the function.
_HOME = {
    "cmmd": "kernels",
    "colour_difference": "pixels",
    "end_point_error": "warps",
    "frechet_distance": "frechet",
    "frechet_from_moments": "frechet",
    "inception_score": "classifier",
    "kid": "kernels",
    "ms_ssim": "structural",
    "precision_recall_density_coverage": "manifold",
    "psnr": "pixels",
    "ssim": "structural",
    "ssim_map": "structural",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    """Import a metric when it is first asked for (PEP 562)."""
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
