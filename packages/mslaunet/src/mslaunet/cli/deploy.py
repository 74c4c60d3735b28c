"""Commands about models: what they are and how they are kept. Thin: nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .._shared.cli import (
    DebugOption,
    JsonOption,
    command,
    emit,
)
from .app import ModelOption, app


@command(
    app,
    "info",
    examples=["mslaunet info", "mslaunet info --model runs/first --json"],
)
def info_command(
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="Describe this trained model instead.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show the variants and presets, or what a trained model is."""
    from ..info import describe_model, describe_package

    result, text = describe_package() if model is None else describe_model(model)
    emit(result, as_json, text)


@command(
    app,
    "convert",
    examples=[
        "mslaunet convert MSLAUNet.pth models/official",
        "mslaunet convert best.pth models/encoder --num-classes 9 --in-channels 1 --json",
    ],
)
def convert_command(
    weights: Annotated[Path, typer.Argument(help="Weights of the official code (.pth).")],
    out: Annotated[Path, typer.Argument(help="Folder for safetensors and configuration.")],
    num_classes: Annotated[int | None, typer.Option("--num-classes", min=2, help="Classes wanted.")] = None,
    in_channels: Annotated[int | None, typer.Option("--in-channels", min=1, help="Image channels wanted.")] = None,
    trained_size: Annotated[
        int, typer.Option("--trained-size", min=32, help="Side of the training images.")
    ] = 224,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Turn weights of the official code into a model directory; a pickle is never executed."""
    from dataclasses import asdict

    from ..convert import convert_official

    report = convert_official(weights, out, num_classes=num_classes, in_channels=in_channels, side_px=trained_size)
    emit(asdict(report), as_json, f"{report}\n{out}")


@command(
    app,
    "export",
    examples=[
        "mslaunet export --model runs/first --out exported",
        "mslaunet export --model runs/first --out exported --format both --int8 DATA --json",
    ],
)
def export_command(
    model: ModelOption,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="An empty or new folder.")],
    formats: Annotated[
        Literal["onnx", "torch", "both"], typer.Option("--format", help="ONNX, torch.export, or both.")
    ] = "onnx",
    int8: Annotated[
        Path | None,
        typer.Option("--int8", metavar="DATA", help="Also quantise, calibrated and scored on this data set."),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write ONNX and torch.export graphs of any batch and size, and one JSON of all that surrounds them."""
    from ..export import export_model, export_text

    report = export_model(model, out, formats={"onnx", "torch"} if formats == "both" else {formats}, int8=int8)
    emit(report, as_json, export_text(report, out))
