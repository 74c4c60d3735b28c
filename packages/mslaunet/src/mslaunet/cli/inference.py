"""Commands that apply a model and judge its masks. Thin: nothing heavy is imported before one runs."""

from __future__ import annotations

from collections.abc import Callable
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
from .app import KeepOption, PartOption, app


@command(
    app,
    "predict",
    examples=[
        "mslaunet predict scan.nii.gz --model runs/first --out masks",
        "mslaunet predict DATA/imagesTs --model runs/a --model runs/b --out masks --tta flips --uncertainty --json",
    ],
)
def predict_command(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="One image or volume, a folder of them, or of DICOM series.")
    ],
    model: Annotated[
        list[Path],
        typer.Option("--model", metavar="DIR", help="A run or model directory; several make an ensemble."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the masks.")],
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Slices per forward pass; as many as fit by default.")
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            "--window", metavar="PX", min=32, help="Sliding window of this side; whole slices by default."
        ),
    ] = None,
    overlap: Annotated[float, typer.Option("--overlap", min=0, max=0.95, help="Overlap of windows.")] = 0.5,
    tta: Annotated[
        Literal["none", "flips", "scales", "all"],
        typer.Option("--tta", help="Average over mirrored or rescaled slices (mirrored only if trained so)."),
    ] = "none",
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option("--precision", help="Number format of the network.")
    ] = "fp32",
    max_memory: Annotated[
        float | None, typer.Option("--max-memory", metavar="GB", min=0.1, help="Most memory to take.")
    ] = None,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            metavar="",
            help="Also write confidence and entropy maps; with several models or views, mutual information, variance.",
        ),
    ] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", metavar="", help="Also write one probability map per class.")
    ] = False,
    part: PartOption = "test",
    output_format: Annotated[
        Literal["auto", "dicom-seg"],
        typer.Option("--format", help="auto: NIfTI for volumes, PNG for images; or DICOM SEG of a DICOM series."),
    ] = "auto",
    raw: Annotated[
        bool, typer.Option("--raw", metavar="", help="Leave out the post-processing that the run chose.")
    ] = False,
    device: DeviceOption = "auto",
    resume: KeepOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Segment images; masks come on the images' own grid and affine."""
    from dataclasses import replace

    from ..predict import PredictOptions, find_cases, load_predictor, predict_files
    from ..predict.files import describe_run, wanted_maps
    from ..predictions import read_record

    options = PredictOptions(
        window_px=window, overlap=overlap, tta=tta, precision=precision, max_memory_gb=max_memory
    )
    predictor = replace(load_predictor(*model, device=device, fold=True), batch_size=batch_size, options=options)
    if raw:
        predictor = replace(predictor, postprocessing=None)
    cases = find_cases(source, predictor.plan.num_channels, part)
    maps = wanted_maps(predictor) if uncertainty else ()
    paths = predict_files(
        predictor,
        cases,
        out,
        resume=resume,
        quiet=quiet,
        maps=maps,
        probabilities=probabilities,
        output_format=output_format,
    )
    result, text = describe_run(paths, predictor, read_record(out))
    emit(result, as_json, text)


@command(
    app,
    "evaluate",
    examples=[
        "mslaunet evaluate DATA/labelsTs masks",
        "mslaunet evaluate DATA/labelsTs masks --run-dir runs/scores --images DATA/imagesTs --json",
    ],
)
def evaluate_command(
    references: Annotated[Path, typer.Argument(help="Folder of reference masks, or a data set.")],
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted masks with the same names.")],
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="Also write metrics.json and report.html here.")
    ] = None,
    empty: Annotated[
        Literal["undefined", "worst"],
        typer.Option("--empty", help="Distances to an empty mask: left out and counted, or the image diagonal."),
    ] = "undefined",
    masks: Annotated[
        Literal["auto", "binary", "labels"],
        typer.Option("--masks", help="Pixel values of 2-D masks: 0/255, or label ids; one answer for all files."),
    ] = "auto",
    part: PartOption = "test",
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Images, to draw the worst cases in the report.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Score masks: Dice, IoU, HD95, ASSD, NSD and volume error, beside the TransUNet convention."""
    from .._shared.errors import ConfigError
    from .._shared.files import require_writable_dir
    from ..data.dataset import open_dataset
    from ..data.parts import is_dataset
    from ..evaluate import evaluate_dataset, evaluate_folders
    from ..report import evaluation_text, write_evaluation
    from ..review import Scene, dataset_scenes, folder_scenes, worst_cases_png

    if images is not None and run_dir is None:
        raise ConfigError("--images draws into the report, so it needs --run-dir")
    if run_dir is not None:
        require_writable_dir(run_dir)  # before the work, not after it
    scenes: Callable[[str], Scene] | None = None
    if is_dataset(references):
        dataset = open_dataset(references, overlap="allow")
        evaluation = evaluate_dataset(dataset, predictions, part=part, empty=empty, quiet=quiet)
        scenes = dataset_scenes(dataset, predictions, part)
    else:
        evaluation = evaluate_folders(references, predictions, empty=empty, masks=masks, quiet=quiet)
        scenes = None if images is None else folder_scenes(references, predictions, images, masks)
    text = evaluation_text(evaluation)
    if run_dir is not None:
        picture = None if scenes is None else worst_cases_png(evaluation, scenes)
        text += f"\n\n{write_evaluation(evaluation, run_dir, picture)}"
    emit(evaluation.to_json(), as_json, text)


@command(
    app,
    "compare",
    examples=[
        "mslaunet compare runs/scores-a runs/scores-b",
        "mslaunet compare runs/scores-a runs/scores-b --metric dice --metric hd95 --json",
    ],
)
def compare_command(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="The --run-dir of an evaluation: the yardstick.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="The --run-dir of another, of the same cases.")],
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="dice, hd95, nsd, ...; repeatable.")
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", min=1e-6, max=0.5, help="Level of the tests.")] = 0.05,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare two evaluations by paired tests with Holm's correction; exit 1 if B is significantly worse."""
    from ..compare import compare_runs, comparison_table, is_worse, to_json
    from ..report import text_table

    rows = compare_runs(run_a, run_b, metrics=metric or ["dice"], alpha=alpha)
    emit(to_json(rows), as_json, text_table(*comparison_table(rows)))
    if is_worse(rows):
        raise typer.Exit(1)
