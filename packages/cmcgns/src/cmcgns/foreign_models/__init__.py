"""Checkpoints of other projects in the same evaluation: MGCA, GLoRIA, CXR-CLIP, BenchX, and what open_clip loads.

Each module names the repository and the commit in which the layout of its files was read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .._shared.engine.device import resolve_device
from .._shared.errors import ConfigError

if TYPE_CHECKING:
    from ..encoders import Encoder

KINDS = ("mgca", "gloria", "cxr-clip", "benchx", "open-clip")


def open_foreign(kind: str, path: str, *, device: str = "auto") -> Encoder:
    """Open a foreign checkpoint as an encoder.

    Args:
        kind: "mgca", "gloria", "cxr-clip" and "benchx": a folder with the checkpoint (`*.ckpt`, `*.pth`, `*.tar` or
            `*.safetensors`) and the tokenizer of its text tower (`vocab.txt` or `tokenizer.json`). "open-clip": a
            folder with `open_clip_config.json` and weights, or a hub name of open_clip.
        path: where it lies.
        device: "auto", "cpu", "cuda", ...

    Raises:
        ConfigError: no such kind.
        CheckpointError: files are missing or of another layout.
    """
    target = resolve_device(device)
    if kind == "mgca":
        from .mgca import load_mgca

        return load_mgca(Path(path), target)
    if kind == "gloria":
        from .gloria import load_gloria

        return load_gloria(Path(path), target)
    if kind == "cxr-clip":
        from .cxr_clip import load_cxr_clip

        return load_cxr_clip(Path(path), target)
    if kind == "benchx":
        from .benchx import load_benchx

        return load_benchx(Path(path), target)
    if kind == "open-clip":
        from .open_clip_models import load_open_clip

        return load_open_clip(path, target)
    raise ConfigError(f"--model foreign:{kind}: expected foreign:KIND:PATH with KIND one of {', '.join(KINDS)}")
