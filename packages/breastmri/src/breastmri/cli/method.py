"""Commands that train, judge, calibrate and export models. Thin: flags in, one call, results out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .._shared.cli import (
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
)
from .application import app

DataArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help="A data set, a folder with manifest.csv, or a prepared folder.")
]
ModelOption = Annotated[Path, typer.Option("--model", metavar="RUN", help="Run directory of a trained model.")]
LayoutOption = Annotated[
    str, typer.Option("--layout", metavar="NAME", help="Layout of the data set; auto recognises it.")
]
RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", metavar="NAME", help="Settings to start from: cmsl, paper, bce or tiny."),
]
OnOption = Annotated[
    Literal["unseen", "validation", "test", "all"],
    typer.Option("--on", help="Which breasts: not trained on, those for validation, the test split, or all."),
]
FlipsOption = Annotated[
    Literal["1", "2", "8"], typer.Option("--flips", help="Maps of flipped inputs that are averaged.")
]
LocaliserOption = Annotated[
    list[str] | None,
    typer.Option("--localiser", metavar="NAME", help="coam, cam, grad-cam, ...; repeatable."),
]
EpochsOption = Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the training breasts.")]
MinutesOption = Annotated[float | None, typer.Option("--max-minutes", min=0, help="Stop after this many minutes.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")]


def _config(
    data: Path, recipe: str | None, config: Path | None, settings: list[str] | None, flags: dict[str, Any]
) -> Any:
    """Settings of a training; a prepared folder brings its own preprocessing."""
    from .._shared.config import load_config
    from ..config import Config
    from ..prepare import prepared_plan
    from ..recipes import read_recipe

    base = {} if recipe is None else read_recipe(recipe)
    plan = prepared_plan(data) if data.is_dir() else None
    if plan is not None:
        base["data"] = {**base.get("data", {}), "preprocessing": plan.model_dump(mode="json")}
    return load_config(Config, config, settings or (), {"data.root": str(data), **flags}, base=base)


def _chosen(data: Path, layout: str, model: Path, on: Any, device: str, quiet: bool) -> Any:
    """The model and the breasts to judge it on."""
    from ..classifier import load_classifier
    from ..prepare import load_breasts
    from ..selection import select_breasts

    classifier = load_classifier(model, device=device)
    breasts = load_breasts(data, classifier.plan, layout=layout, quiet=quiet)
    return classifier, select_breasts(breasts, model, on)


@command(
    app,
    "train",
    examples=[
        "breastmri train DATA --run-dir runs/first --recipe cmsl",
        "torchrun --nproc-per-node=2 -m breastmri train DATA --run-dir runs/two --recipe tiny --resume",
    ],
)
def train_command(
    data: DataArgument,
    run_dir: RunDirOption,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    layout: LayoutOption = "auto",
    epochs: EpochsOption = None,
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
    """Train a classifier of breasts; safe to kill at any time, --resume goes on bit-exactly."""
    flags = {
        "data.layout": None if layout == "auto" else layout,
        "train.epochs": epochs,
        "train.max_minutes": max_minutes,
        "train.seed": seed,
    }
    resolved = _config(data, recipe, config, settings, flags)
    from ..train import train

    result = train(resolved, run_dir, device=device, resume=resume, allow_config_change=allow, quiet=quiet)
    best = "undefined" if result.best_metric is None else f"{result.best_metric:.4f}"
    summary = {
        "steps": result.step,
        "stopped": result.stopped,
        "best_validation_auc": result.best_metric,
        "best": str(result.best_path),
        "last": str(result.last_path),
    }
    emit(
        summary,
        as_json,
        f"{result.step} steps ({result.stopped}), best validation AUC {best}\n{result.best_path}",
    )


@command(
    app,
    "evaluate",
    examples=[
        "breastmri evaluate DATA --model runs/first --on validation",
        "breastmri evaluate TEST --model runs/first --run-dir runs/first/test --localiser occlusion --flips 8",
    ],
)
def evaluate_command(
    data: DataArgument,
    model: ModelOption,
    run_dir: Annotated[
        Path | None,
        typer.Option("--run-dir", metavar="DIR", help="Also write evaluation.json and report.html here."),
    ] = None,
    on: OnOption = "unseen",
    localiser: LocaliserOption = None,
    flips: FlipsOption = "2",
    layout: LayoutOption = "auto",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Judge a model: AUC with DeLong interval, operating points, FROC, centre errors, subgroups, site probe."""
    from .._shared.files import require_writable_dir
    from ..evaluate import evaluate_breasts, write_evaluation
    from ..report import evaluation_text, write_report

    if run_dir is not None:
        require_writable_dir(run_dir)  # before the work, not after it
    classifier, breasts = _chosen(data, layout, model, on, device, quiet)
    names = localiser or ["coam", "coam-weighted", "cam", "grad-cam"]
    evaluation = evaluate_breasts(classifier, breasts, localisers=names, flips=int(flips), quiet=quiet)
    text = evaluation_text(evaluation)
    if run_dir is not None:
        write_evaluation(evaluation, run_dir)
        text += f"\n{write_report(evaluation, run_dir)}"
    emit(evaluation.to_json(), as_json, text)


@command(
    app,
    "compare",
    examples=[
        "breastmri compare runs/bce/test runs/cmsl/test",
        "breastmri compare runs/bce/test/evaluation.json runs/cmsl/test/evaluation.json --json",
    ],
)
def compare_command(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder or evaluation.json of one model.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The same of the other, on the same breasts.")],
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare the AUC of two models on the same breasts: paired DeLong test, clustered by patient."""
    from ..cases import compare_evaluations, comparison_text, read_cases

    test = compare_evaluations(read_cases(first), read_cases(second))
    emit(test._asdict(), as_json, comparison_text(test))


@command(
    app,
    "localize",
    examples=[
        "breastmri localize DATA --model runs/first --out maps",
        "breastmri localize DATA --model runs/first --out maps --localiser coam --localiser occlusion --flips 8",
    ],
)
def localize_command(
    data: DataArgument,
    model: ModelOption,
    out: OutOption,
    localiser: LocaliserOption = None,
    flips: FlipsOption = "2",
    on: OnOption = "all",
    layout: LayoutOption = "auto",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Write centres and candidates in millimetres and maps on the network's grid, the trivial baseline beside them."""
    from .._shared.files import require_writable_dir
    from ..locations import locations_text, write_locations

    require_writable_dir(out)
    classifier, breasts = _chosen(data, layout, model, on, device, quiet)
    rows = write_locations(classifier, breasts, out, localiser or ["coam"], flips=int(flips), quiet=quiet)
    emit({"breasts": rows}, as_json, f"{locations_text(rows)}\n{out / 'locations.json'}")


@command(
    app,
    "calibrate",
    examples=[
        "breastmri calibrate HELD_OUT --model runs/first",
        "breastmri calibrate DATA --model runs/first --on validation --kind beta --sensitivity 0.95",
    ],
)
def calibrate_command(
    data: DataArgument,
    model: ModelOption,
    kind: Annotated[
        Literal["platt", "isotonic", "beta"], typer.Option("--kind", help="Form of the calibration.")
    ] = "platt",
    sensitivity: Annotated[
        float, typer.Option("--sensitivity", min=0.5, max=0.999, help="Sensitivity that thresholds promise.")
    ] = 0.9,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.5, max=0.999, help="Confidence of that promise.")
    ] = 0.95,
    on: OnOption = "unseen",
    layout: LayoutOption = "auto",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Calibrate probabilities on held-out breasts and store that in the run; thresholds per site come with it."""
    from ..calibrate import calibrate_run, calibration_text

    classifier, breasts = _chosen(data, layout, model, on, device, quiet)
    result = calibrate_run(classifier, breasts, model, kind=kind, sensitivity=sensitivity, confidence=confidence)
    emit(result.to_json(), as_json, calibration_text(result))


@command(
    app,
    "crossval",
    examples=[
        "breastmri crossval DATA --run-dir runs/folds --recipe tiny --folds 5",
        "breastmri crossval DATA --run-dir runs/sites --recipe cmsl --by site --resume",
    ],
)
def crossval_command(
    data: DataArgument,
    run_dir: RunDirOption,
    by: Annotated[
        Literal["patients", "folds", "site"],
        typer.Option("--by", help="Drawn folds of patients, the data set's folds, or leave one site out."),
    ] = "patients",
    folds: Annotated[int, typer.Option("--folds", min=2, help="Number of folds by patients.")] = 5,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    layout: LayoutOption = "auto",
    epochs: EpochsOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Train and test on folds of whole patients, or leave one site out; AUC per fold and out of fold."""
    flags = {"data.layout": None if layout == "auto" else layout, "train.epochs": epochs, "train.seed": seed}
    resolved = _config(data, recipe, config, settings, flags)
    from ..crossval import cross_validate, crossval_text

    result = cross_validate(resolved, run_dir, by=by, folds=folds, device=device, resume=resume, quiet=quiet)
    emit(result.to_json(), as_json, crossval_text(result))


@command(
    app,
    "export",
    examples=[
        "breastmri export --model runs/first --out exported",
        "breastmri export --model runs/first --out exported --json",
    ],
)
def export_command(
    model: ModelOption,
    out: OutOption,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write the model as ONNX, checked against PyTorch, with its preprocessing and calibration as JSON."""
    from ..classifier import load_classifier
    from ..export import export_onnx

    document = export_onnx(load_classifier(model, device="cpu"), out)
    emit(document, as_json, f"largest deviation {document['largest_deviation']:.1e}\n{out / 'model.onnx'}")


@command(
    app,
    "claims",
    examples=["breastmri claims --run-dir runs/claims", "breastmri claims --run-dir runs/claims --resume --json"],
)
def claims_command(
    run_dir: RunDirOption = Path("runs/breastmri-claims"),
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Repeat the README's comparison on phantoms: CMSL against cross-entropy, COAM against other localisers."""
    from ..claims import claims_plan, claims_table, run_claims

    summary = run_claims(run_dir, claims_plan(), resume=resume, quiet=quiet)
    emit(summary, as_json, claims_table(summary))
