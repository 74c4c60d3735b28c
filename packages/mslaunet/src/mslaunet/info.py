"""What the package offers, and what a trained model is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .cost import forward_gflop
from .model import PRESETS, VARIANTS, MSLAUNet
from .predict import read_model
from .recipes import recipe_names
from .report import text_table


def describe_package() -> tuple[dict[str, Any], str]:
    """Variants with parameters and arithmetic, presets with their switches; as JSON values and as text."""
    variants = {name: _measure(MSLAUNet.variant(name, num_classes=9)) for name in VARIANTS}
    rows = [[name, f"{v['parameters']:,}", f"{v['gflop_224']:.2f}"] for name, v in variants.items()]
    switches = list(next(iter(PRESETS.values())))
    presets = [[name, *(str(preset[s]) for s in switches)] for name, preset in PRESETS.items()]
    text = "\n".join(
        [
            text_table(["variant", "parameters", "GFLOP at 224 px"], rows),
            "9 classes, 3 channels; one multiply-add is two FLOP, convolutions and matrix products only.",
            "",
            text_table(["preset", *switches], presets),
            "All presets have the same parameters. We ship no weights.",
            "",
            f"recipes (train --recipe): {', '.join(recipe_names())}",
        ]
    )
    return {"variants": variants, "presets": PRESETS, "recipes": list(recipe_names())}, text


def describe_model(path: Path) -> tuple[dict[str, Any], str]:
    """Architecture, classes and preprocessing of a trained model; as JSON values and as text.

    Raises:
        CheckpointError: there is no sound model.
    """
    tensors, config = read_model(path)
    parameters = sum(
        t.numel()
        for name, t in tensors.items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    )
    result = {"parameters": parameters, **config}
    lines = [f"parameters  {parameters:,}"]
    for part in ("model", "preprocessing", "classes"):
        lines += ["", part, *(f"  {key}  {value}" for key, value in config[part].items())]
    return result, "\n".join(lines)


def _measure(model: MSLAUNet) -> dict[str, float]:
    parameters = sum(p.numel() for p in model.parameters())
    return {"parameters": parameters, "gflop_224": forward_gflop(model, (3, 224, 224))}
