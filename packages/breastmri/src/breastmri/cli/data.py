"""Commands on data: make, check, prepare and predict. Thin: flags in, one call, results out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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

Format = Literal[
    "nifti", "mama-mia", "odelia", "odelia-hub", "breastdcedl", "duke-dicom", "fastmri-dicom", "breastdm"
]
DataArgument = Annotated[Path, typer.Argument(metavar="DATA", help="A data set, or a folder with manifest.csv.")]
LayoutOption = Annotated[
    str, typer.Option("--layout", metavar="NAME", help="Layout of the data set; auto recognises it.")
]
BoxBaseOption = Annotated[
    Literal["1", "0"], typer.Option("--box-base", help="First row and column of Duke's boxes; not declared there.")
]


@command(
    app,
    "synth",
    examples=["breastmri synth nifti DATA", "breastmri synth duke-dicom DUKE --cases 6 --seed 1"],
)
def synth_command(
    layout: Annotated[
        Format,
        typer.Argument(
            metavar="FORMAT",
            help="nifti, mama-mia, odelia, odelia-hub, breastdcedl, duke-dicom, fastmri-dicom or breastdm.",
        ),
    ],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An empty or new folder.")],
    cases: Annotated[int, typer.Option("--cases", min=1, help="Number of studies.")] = 10,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a small valid data set of phantoms in a public set's layout, with the truth beside it."""
    from ..synth import write_synthetic

    write_synthetic(layout, directory, cases=cases, seed=seed or 0)
    result = {"format": layout, "directory": str(directory), "cases": cases}
    emit(result, as_json, f"{cases} studies in {directory}")


@command(
    app,
    "prepare",
    examples=[
        "breastmri prepare DATA --out PREPARED",
        'breastmri prepare DATA --out SMALL --set data.preprocessing.size="[12, 40, 32]" --resume',
    ],
)
def prepare_command(
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the prepared breasts.")],
    config: ConfigOption = None,
    settings: SetOption = None,
    layout: LayoutOption = "auto",
    box_base: BoxBaseOption = "1",
    breast_masks: Annotated[
        Path | None,
        typer.Option(
            "--breast-masks", metavar="DIR", help="<study_id>.nii.gz: 1 left, 2 right; instead of the crop."
        ),
    ] = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Read a data set once: its table and one network input per breast, for `train`."""
    from .._shared.config import load_config
    from ..config import Config
    from ..data.manifest import write_manifest
    from ..data.opening import open_data
    from ..prepare import prepare_folder, with_breast_masks

    resolved = load_config(Config, config, settings or (), {"data.root": str(data), "data.layout": layout})
    manifest = open_data(data, layout, box_base=1 if box_base == "1" else 0)
    if breast_masks is not None:
        manifest = with_breast_masks(manifest, breast_masks)
    breasts = prepare_folder(manifest, out, resolved.data.preprocessing, resume=resume, quiet=quiet)
    write_manifest(manifest, out, "source_manifest.csv")
    result = {
        "layout": manifest.layout,
        "breasts": len(breasts),
        "excluded": [vars(one) for one in breasts.excluded],
        "warnings": list(manifest.warnings),
        "directory": str(out),
    }
    notes = "".join(f"\n{text}" for text in manifest.warnings)
    emit(result, as_json, f"{len(breasts)} breasts, {len(breasts.excluded)} left out: {out}{notes}")


@command(app, "doctor", examples=["breastmri doctor DATA", "breastmri doctor DATA --limit 50 --json"])
def doctor_command(
    data: DataArgument,
    layout: LayoutOption = "auto",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Read the files of this many studies only.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Check a data set: phase order, leakage, confounding, times, breasts; exit 1 where something is found."""
    from ..data.opening import open_data
    from ..doctor import examine

    manifest = open_data(data, layout)
    found = examine(manifest, limit=limit, quiet=quiet)
    findings = [one for one in found if one.level == "finding"]
    studies = len(manifest.studies())
    lines = [f"{one.level:8} {one.check}: {one.message}" for one in found]
    summary = f"{manifest.layout}: {studies} studies, {len(manifest.rows)} breasts, {len(findings)} findings"
    result = {
        "layout": manifest.layout,
        "studies": studies,
        "breasts": len(manifest.rows),
        "findings": [vars(one) for one in found],
    }
    emit(result, as_json, "\n".join([*lines, summary]))
    if findings:
        raise typer.Exit(1)


@command(
    app,
    "predict",
    examples=[
        "breastmri predict STUDY --model runs/first -o OUT",
        "breastmri predict DATA --study phantom_0003 --model runs/first -o OUT --json",
    ],
)
def predict_command(
    source: Annotated[
        Path, typer.Argument(metavar="STUDY", help="DICOM files, NIfTI phases, or a data set with --study.")
    ],
    model: Annotated[Path, typer.Option("--model", metavar="DIR", help="A run directory or model directory.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")],
    study: Annotated[
        str | None, typer.Option("--study", metavar="ID", help="A study of the data set in STUDY.")
    ] = None,
    times: Annotated[
        str | None, typer.Option("--times", metavar="LIST", help="Seconds of each phase, such as 0,90,180.")
    ] = None,
    side: Annotated[
        Literal["auto", "both", "left", "right"], typer.Option("--side", help="The breasts that the images show.")
    ] = "auto",
    breast_mask: Annotated[
        Path | None, typer.Option("--breast-mask", metavar="FILE", help="NIfTI mask: 1 left breast, 2 right.")
    ] = None,
    localiser: Annotated[
        str, typer.Option("--localiser", metavar="NAME", help="Map of the candidates, such as coam or cam.")
    ] = "coam",
    flips: Annotated[
        Literal["1", "2", "8"], typer.Option("--flips", help="Mirrored passes whose maps are averaged.")
    ] = "2",
    output: Annotated[
        Literal["standard", "odelia"], typer.Option("--format", help="odelia: also the challenge's likelihoods.")
    ] = "standard",
    label: Annotated[
        str, typer.Option("--label", metavar="TEXT", help="Written on the report; nothing else names the study.")
    ] = "",
    allow: Annotated[
        bool, typer.Option("--allow", metavar="", help="Go on although the order of phases is suspicious.")
    ] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Read one examination; write probabilities, maps on its own grid, candidates in mm and a report."""
    from ..classifier import load_classifier
    from ..predict.examination import open_examination, parse_sides, parse_times
    from ..predict.run import predict_examination

    classifier = load_classifier(model, device=device)
    examination = open_examination(
        source, study_id=study, times_s=parse_times(times), sides=parse_sides(side), breast_mask=breast_mask
    )
    written = predict_examination(
        classifier,
        examination,
        out,
        localiser=localiser,
        flips=int(flips),
        label=label,
        output=output,
        allow_suspicious=allow,
    )
    lines = [f"{b.side:6} probability {b.prob:.3f}, score {b.score:.3f}" for b in written.prediction.breasts]
    lines += [written.document["notice"], str(out / "report.html")]
    emit(written.document | {"files": list(written.files), "out": str(out)}, as_json, "\n".join(lines))


@command(app, "demo", examples=["breastmri demo", "breastmri demo --run-dir runs/longer --max-minutes 10"])
def demo_command(
    run_dir: RunDirOption = Path("runs/breastmri-demo"),
    max_minutes: Annotated[
        float, typer.Option("--max-minutes", min=0.05, help="Budget: 100 steps of each network a minute.")
    ] = 3.0,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Train BCE and CMSL on phantoms, locate their cancers, show a map on a real breast; exit 1 at chance level."""
    from ..demo.run import demo_text, run_demo

    result = run_demo(run_dir, max_minutes=max_minutes, seed=seed or 0, device=device, resume=resume, quiet=quiet)
    emit(result.to_json(), as_json, demo_text(result))
    if not result.above_chance:
        raise typer.Exit(1)
