"""Commands that apply a model and judge its masks. Thin: nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .._shared.cli import (
    DebugOption,
    DeviceOption,
    JsonOption,
    QuietOption,
    command,
    emit,
)
from .app import KeepOption, ModelOption, app


@command(
    app,
    "predict",
    examples=[
        "mslaunet predict scan.nii.gz --model runs/first --out masks",
        "mslaunet predict DATA/imagesTs --model runs/first --out masks --resume --json",
    ],
)
def predict_command(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="One image or volume, or a folder of them.")],
    model: ModelOption,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the masks.")],
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Slices per forward pass.")] = 4,
    device: DeviceOption = "auto",
    resume: KeepOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Segment images; masks come on the images' own grid and affine."""
    from dataclasses import replace

    from ..predict import find_cases, load_predictor, predict_files

    predictor = replace(load_predictor(model, device=device), batch_size=batch_size)
    cases = find_cases(source, predictor.plan.num_channels)
    paths = predict_files(predictor, cases, out, resume=resume, quiet=quiet)
    classes = {str(label): name for label, name in predictor.classes.items()}
    emit({"masks": [str(p) for p in paths], "classes": classes}, as_json, "\n".join(str(p) for p in paths))


@command(
    app,
    "evaluate",
    examples=[
        "mslaunet evaluate DATA/labelsTs masks",
        "mslaunet evaluate DATA/labelsTs masks --run-dir runs/scores --json",
    ],
)
def evaluate_command(
    references: Annotated[Path, typer.Argument(help="Folder of reference masks.")],
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted masks with the same names.")],
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="Also write metrics.json and report.html here.")
    ] = None,
    empty: Annotated[
        Literal["undefined", "worst"],
        typer.Option("--empty", help="Distances to an empty mask: left out and counted, or the image diagonal."),
    ] = "undefined",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Score masks: Dice, IoU, HD95, ASSD, NSD and volume error, beside the TransUNet convention."""
    from .._shared.files import require_writable_dir
    from ..evaluate import evaluate_folders
    from ..report import evaluation_text, write_evaluation

    if run_dir is not None:
        require_writable_dir(run_dir)  # before the work, not after it
    evaluation = evaluate_folders(references, predictions, empty=empty, quiet=quiet)
    text = evaluation_text(evaluation)
    if run_dir is not None:
        text += f"\n\n{write_evaluation(evaluation, run_dir)}"
    emit(evaluation.to_json(), as_json, text)
