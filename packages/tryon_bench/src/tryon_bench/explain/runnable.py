"""What of a protocol can be computed with the weight files at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .._shared.errors import CheckpointError
from ..networks.weights import (
    CLIP_B32,
    CLIP_L14_336,
    DINOV2_L14,
    INCEPTION,
    SQUEEZENET,
    WeightFile,
    find_weights,
)
from ..protocol.schema import Protocol


class _Need(NamedTuple):
    metrics: str
    weights: WeightFile
    asked: Callable[[Protocol], bool]
    without: Callable[[Protocol], dict[str, Any]]


_NEEDS = (
    _Need(
        "FID, KID and the inception score",
        INCEPTION,
        lambda p: bool(p.fid or p.kid or p.inception_score_splits),
        lambda p: {"fid": (), "kid": None, "inception_score_splits": None},
    ),
    _Need(
        "LPIPS squeeze",
        SQUEEZENET,
        lambda p: any(spec.net == "squeeze" for spec in p.lpips),
        lambda p: {"lpips": tuple(spec for spec in p.lpips if spec.net != "squeeze")},
    ),
    _Need("the Semantic Score", CLIP_B32, lambda p: bool(p.semantic), lambda p: {"semantic": ()}),
    _Need("CMMD", CLIP_L14_336, lambda p: p.cmmd, lambda p: {"cmmd": False}),
    _Need("FD-DINOv2", DINOV2_L14, lambda p: p.fd_dinov2, lambda p: {"fd_dinov2": False}),
)
_METRICS = (
    *("ssim", "ms_ssim", "psnr", "lpips", "dists", "colour", "boundary", "garment_similarity", "fid", "kid"),
    *("fd_effnet_lite0", "fd_dinov2", "cmmd", "inception_score_splits", "semantic"),
)


def runnable(
    protocol: Protocol, weights_dir: Path | None, *, random_weights: bool = False
) -> tuple[Protocol, list[str]]:
    """The protocol without what needs a missing weight file, and what that is.

    Its hash differs from the whole protocol's, as it should: it is not the whole protocol.

    Args:
        protocol: any.
        weights_dir: the user's weight files.
        random_weights: networks get random weights, so nothing is missing.

    Returns:
        The protocol, and one line per missing file.
    """
    missing = []
    for need in _NEEDS:
        if random_weights or not need.asked(protocol):
            continue
        try:
            find_weights(need.weights, weights_dir)
        except CheckpointError:
            missing.append(f"{need.metrics}: needs {need.weights.file} in --weights-dir")
            protocol = protocol.model_copy(update=need.without(protocol))
    return protocol, missing


def is_empty(protocol: Protocol) -> bool:
    """True where no metric is left."""
    return not any(getattr(protocol, name) for name in _METRICS)
