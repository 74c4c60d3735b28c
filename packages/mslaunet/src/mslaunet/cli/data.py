"""Commands about data sets. Thin: nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from .._shared.assets_cli import assets_app
from .._shared.cli import (
    DebugOption,
    JsonOption,
    QuietOption,
    SeedOption,
    command,
    emit,
)
from ..data.dataset import Layout
from ..data.labels import LabelMapName
from .app import app

SYNTH_FORMATS = (*[name for name in get_args(Layout) if name != "auto"], "clinicdb-original")

app.add_typer(assets_app("mslaunet"), name="assets")


LayoutOption = Annotated[
    Layout, typer.Option("--layout", metavar="NAME", help="Layout on disk; auto recognises it.")
]
LabelMapOption = Annotated[
    LabelMapName | None,
    typer.Option("--label-map", metavar="NAME", help="Meaning of the numbers: transunet, cascade, btcv, ..."),
]
OverlapOption = Annotated[
    bool,
    typer.Option("--allow-overlap", metavar="", help="Accept patients or sequences on both sides of a split."),
]


@command(
    app,
    "synth",
    examples=["mslaunet synth nnunet DATA", "mslaunet synth folders POLYPS --cases 8 --seed 1"],
)
def synth_command(
    layout: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of {', '.join(SYNTH_FORMATS)}.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An empty or new folder.")],
    cases: Annotated[int, typer.Option("--cases", min=1, help="Number of cases.")] = 6,
    side: Annotated[int, typer.Option("--side", min=16, help="In-plane size, pixels.")] = 64,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a tiny valid data set with a known answer."""
    from ..synth import write_synthetic

    write_synthetic(layout, directory, cases=cases, side_px=side, seed=seed or 0)
    emit({"format": layout, "directory": str(directory), "cases": cases}, as_json, f"{cases} cases in {directory}")


@command(
    app,
    "prepare",
    examples=[
        "mslaunet prepare synapse Synapse DATA/synapse",
        "mslaunet prepare clinicdb CVC-ClinicDB DATA/clinicdb --regroup --seed 1",
    ],
)
def prepare_command(
    layout: Annotated[Layout, typer.Argument(metavar="FORMAT", help="Layout of SRC, or auto.")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The data set as it was downloaded; only read.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="An empty or new folder.")],
    label_map: LabelMapOption = None,
    regroup: Annotated[
        bool, typer.Option("--regroup", metavar="", help="Draw a new test part by patient or sequence.")
    ] = False,
    allow_overlap: OverlapOption = False,
    max_excluded: Annotated[
        float, typer.Option("--max-excluded", min=0, max=1, help="Fraction of unreadable cases tolerated.")
    ] = 0.05,
    seed: SeedOption = None,
    resume: Annotated[bool, typer.Option("--resume", metavar="", help="Go on with an interrupted DST.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Convert any layout into one form (nnU-Net raw with hashes, patients and splits)."""
    from ..prepare import prepare_dataset

    result = prepare_dataset(
        layout,
        source,
        target,
        label_map=label_map,
        regroup=regroup,
        allow_overlap=allow_overlap,
        max_excluded_fraction=max_excluded,
        seed=seed or 0,
        resume=resume,
        quiet=quiet,
    )
    manifest = result.manifest
    parts = [sum(case.part == part for case in manifest.cases) for part in ("training", "testing")]
    lines = [f"{manifest.layout}: {parts[0]} training and {parts[1]} testing cases in {target}"]
    lines += [f"note: {warning}" for warning in manifest.warnings]
    lines += [f"left out: {reason}" for reason in manifest.excluded.values()]
    summary = {
        "directory": str(target),
        "layout": manifest.layout,
        "training": parts[0],
        "testing": parts[1],
        "kept": result.kept,
        "excluded": manifest.excluded,
        "warnings": list(manifest.warnings),
    }
    emit(summary, as_json, "\n".join(lines))


@command(
    app,
    "split",
    examples=[
        "mslaunet split DATA --folds 5 --seed 0",
        "mslaunet split DATA/btcv --official synapse --json",
    ],
)
def split_command(
    data: Annotated[Path, typer.Argument(help="Data set of any layout.")],
    folds: Annotated[int, typer.Option("--folds", min=2, help="Parts, each kept for validation once.")] = 5,
    stratify: Annotated[
        Literal["labels", "foreground", "none"],
        typer.Option("--stratify", help="What shall be as frequent in every part: the rarest class, or size."),
    ] = "labels",
    official: Annotated[
        Literal["synapse", "clinicdb"] | None,
        typer.Option("--official", help="One fold by an official list instead; its leaks are told."),
    ] = None,
    layout: LayoutOption = "auto",
    label_map: LabelMapOption = None,
    allow_overlap: OverlapOption = False,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write splits_final.json: folds by patient or sequence, stratified, which training then uses."""
    from ..data.splits import make_split

    made = make_split(
        data,
        layout=layout,
        label_map=label_map,
        folds=folds,
        stratify=stratify,
        official=official,
        overlap="allow" if allow_overlap else "refuse",
        seed=seed or 0,
    )
    sizes = [{"train": len(fold.train), "val": len(fold.val)} for fold in made.folds]
    lines = [
        f"fold {i}: {size['train']} training and {size['val']} validation cases" for i, size in enumerate(sizes)
    ]
    lines += [f"warning: {warning}" for warning in made.warnings]
    emit(
        {"file": str(made.path), "folds": sizes, "warnings": list(made.warnings)},
        as_json,
        "\n".join([*lines, str(made.path)]),
    )


@command(
    app,
    "doctor",
    examples=["mslaunet doctor DATA", "mslaunet doctor Synapse --label-map cascade --json"],
)
def doctor_command(
    data: Annotated[Path, typer.Argument(help="Data set of any layout.")],
    layout: LayoutOption = "auto",
    label_map: LabelMapOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Look for what is wrong with a data set; exit 1 if there is anything."""
    from ..doctor import diagnosis_text, examine

    diagnosis = examine(data, layout, label_map=label_map, quiet=quiet)
    emit(diagnosis.to_json(), as_json, diagnosis_text(diagnosis))
    if not diagnosis.healthy:
        raise typer.Exit(1)
