"""Checkpoints of other projects in the same evaluation: MGCA, GLoRIA, and what open_clip loads (BiomedCLIP).

CXR-CLIP and BenchX are left out: the key layout of their published files could not be cited.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .._shared.engine.device import resolve_device
from .._shared.errors import ConfigError

if TYPE_CHECKING:
    from ..encoders import Encoder

KINDS = ("mgca", "gloria", "open-clip")


def open_foreign(kind: str, path: str, *, device: str = "auto") -> Encoder:
    """Open a foreign checkpoint as an encoder.

    Args:
        kind: "mgca" and "gloria": a folder with the checkpoint (`*.ckpt`, `*.pth` or `*.safetensors`) and the files of
            Bio_ClinicalBERT's tokenizer (`vocab.txt` or `tokenizer.json`). "open-clip": a folder with
            `open_clip_config.json` and weights, or a hub name of open_clip.
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
    if kind == "open-clip":
        from .open_clip_models import load_open_clip

        return load_open_clip(path, target)
    raise ConfigError(f"--model foreign:{kind}: expected foreign:KIND:PATH with KIND one of {', '.join(KINDS)}")
