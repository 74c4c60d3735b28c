"""The `mslaunet` command. Thin: flags in, one call, results out; nothing heavy is imported before a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ._shared.assets_cli import assets_app
from ._shared.cli import (
    ConfigOption,
    DebugOption,
    DeviceOption,
    JsonOption,
    QuietOption,
    ResumeOption,
    RunDirOption,
    SeedOption,
    SetOption,
    command,
    emit,
    make_app,
)

app = make_app("mslaunet", "Medical image segmentation with MSLAU-Net (arXiv 2505.18823).")
app.add_typer(assets_app("mslaunet"), name="assets")

ModelOption = Annotated[
    Path, typer.Option("--model", metavar="DIR", help="A run directory, or a model directory of `convert`.")
]
KeepOption = Annotated[
    bool, typer.Option("--resume", metavar="", help="Keep the masks that are there, make the others.")
]
MinutesOption = Annotated[float | None, typer.Option("--max-minutes", min=0, help="Stop after this many minutes.")]


@command(
    app,
    "train",
    examples=[
        "mslaunet train DATA --run-dir runs/first --epochs 50 --set model.variant=tiny",
        "torchrun --nproc-per-node=2 -m mslaunet train DATA --run-dir runs/two --resume",
    ],
)
def train_command(
    data: Annotated[Path, typer.Argument(help="Data set: nnU-Net raw, or images/ and masks/.")],
    run_dir: RunDirOption,
    config: ConfigOption = None,
    settings: SetOption = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the training slices.")] = None,
    max_minutes: MinutesOption = None,
    allow: Annotated[
        bool, typer.Option("--allow", metavar="", help="Continue although settings or data changed.")
    ] = False,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Train a network; safe to kill at any time, --resume goes on bit-exactly."""
    from ._shared.config import load_config
    from .config import Config
    from .train import train

    flags = {
        "data.root": str(data),
        "train.epochs": epochs,
        "train.max_minutes": max_minutes,
        "train.seed": seed,
    }
    resolved = load_config(Config, config, settings or (), flags)
    result = train(resolved, run_dir, device=device, resume=resume, allow_config_change=allow, quiet=quiet)
    best = "undefined" if result.best_metric is None else f"{result.best_metric:.4f}"
    summary = {
        "steps": result.step,
        "stopped": result.stopped,
        "best_validation_dice": result.best_metric,
        "best": str(result.best_path),
        "last": str(result.last_path),
    }
    emit(
        summary,
        as_json,
        f"{result.step} steps ({result.stopped}), best validation Dice {best}\n{result.best_path}",
    )


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

    from .predict import find_cases, load_predictor, predict_files

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
    from ._shared.files import require_writable_dir
    from .evaluate import evaluate_folders
    from .report import evaluation_text, write_evaluation

    if run_dir is not None:
        require_writable_dir(run_dir)  # before the work, not after it
    evaluation = evaluate_folders(references, predictions, empty=empty, quiet=quiet)
    text = evaluation_text(evaluation)
    if run_dir is not None:
        text += f"\n\n{write_evaluation(evaluation, run_dir)}"
    emit(evaluation.to_json(), as_json, text)


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
    from .info import describe_model, describe_package

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

    from .convert import convert_official

    report = convert_official(weights, out, num_classes=num_classes, in_channels=in_channels, side_px=trained_size)
    emit(asdict(report), as_json, f"{report}\n{out}")


@command(
    app,
    "synth",
    examples=["mslaunet synth nnunet DATA", "mslaunet synth folders POLYPS --cases 8 --seed 1"],
)
def synth_command(
    layout: Annotated[Literal["nnunet", "folders"], typer.Argument(metavar="FORMAT", help="nnunet or folders.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An empty or new folder.")],
    cases: Annotated[int, typer.Option("--cases", min=1, help="Number of cases.")] = 6,
    side: Annotated[int, typer.Option("--side", min=16, help="In-plane size, pixels.")] = 64,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a tiny valid data set with a known answer."""
    from .synth import write_synthetic

    write_synthetic(layout, directory, cases=cases, side_px=side, seed=seed or 0)
    emit({"format": layout, "directory": str(directory), "cases": cases}, as_json, f"{cases} cases in {directory}")


@command(
    app,
    "demo",
    examples=["mslaunet demo", "mslaunet demo --run-dir runs/longer --max-minutes 20"],
)
def demo_command(
    run_dir: RunDirOption = Path("runs/mslaunet-demo"),
    max_minutes: Annotated[
        float, typer.Option("--max-minutes", min=0.05, help="Training time of each of the two networks.")
    ] = 3.0,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Learn one patient's CT and segment another's; exit 1 if training does not beat the trivial answers."""
    from .demo.run import demo_text, run_demo

    result = run_demo(run_dir, max_minutes=max_minutes, seed=seed or 0, device=device, resume=resume, quiet=quiet)
    emit(result.to_json(), as_json, demo_text(result))
    if not result.beats_trivial:
        raise typer.Exit(1)
