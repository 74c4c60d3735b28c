"""Commands about data sets and results. Thin: nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .._shared.assets_cli import assets_app
from .._shared.cli import DebugOption, JsonOption, SeedOption, command, emit
from .app import (
    AllowMissingOption,
    DataArgument,
    FolderOption,
    FormatOption,
    OptionalRegistryOption,
    PairsOption,
    PatternOption,
    PredOption,
    RegistryOption,
    SchemeOption,
    SettingOption,
    SplitOption,
    app,
    height_width,
    named_folders,
    role_folders,
)

METHODS = Path("methods.json")

app.add_typer(assets_app("tryon-bench"), name="assets")


@command(
    app,
    "synth",
    examples=[
        "tryon-bench synth vitonhd DATA",
        "tryon-bench synth dresscode DC --cases 12 --size 256x192 --seed 1",
    ],
)
def synth_command(
    layout: Annotated[
        Literal["vitonhd", "dresscode", "viton", "survey-viton", "mpv", "manifest"],
        typer.Argument(metavar="FORMAT", help="vitonhd, dresscode, viton, survey-viton, mpv or manifest."),
    ],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An empty or new folder.")],
    cases: Annotated[int, typer.Option("--cases", min=2, help="Number of persons.")] = 8,
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Size of the photos, pixels.")] = "64x48",
    corrupt: Annotated[
        bool, typer.Option("--corrupt", metavar="", help="Add damaged files and a list of them (vitonhd).")
    ] = False,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a tiny valid data set with known warps and the true result of every pair."""
    from ..synth.write import write_synthetic

    write_synthetic(layout, directory, cases=cases, size=height_width(size), seed=seed or 0, corrupt=corrupt)
    emit(
        {"format": layout, "directory": str(directory), "cases": cases, "size": list(height_width(size))},
        as_json,
        f"{cases} persons in {directory}; the true results are in {directory / 'oracle'}",
    )


@command(
    app,
    "register",
    examples=[
        "tryon-bench register DATA stableviton RESULTS --setting unpaired",
        "tryon-bench register DATA catvton RESULTS --panels 3 --pattern '{person_stem}.{ext}'",
    ],
)
def register_command(
    data: DataArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="How tables call the method.")],
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Folder, zip, tar or Parquet file of its images.")
    ],
    methods: RegistryOption = METHODS,
    setting: SettingOption = "paired",
    fmt: FormatOption = "auto",
    pairs: PairsOption = None,
    split: SplitOption = "test",
    scheme: SchemeOption = None,
    folder: FolderOption = None,
    pattern: PatternOption = "auto",
    panels: Annotated[int, typer.Option("--panels", min=1, help="The result is the rightmost of so many.")] = 1,
    allow_missing: AllowMissingOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Register a method's results, whatever their names are, so that `evaluate` takes them."""
    from ..data.open import open_dataset
    from ..data.registered import register

    dataset = open_dataset(
        data, fmt, setting, pairs, split=split, parse_scheme=scheme, folders=role_folders(folder)
    )
    entry = register(dataset, name, results, methods, pattern, allow_missing=allow_missing, panels=panels)
    emit(
        entry.model_dump(),
        as_json,
        f"{entry.name}: {entry.results} of {entry.expected} {setting} pairs of {entry.pairs}, pattern "
        f"{entry.pattern}; in {methods}",
    )


@command(
    app,
    "doctor",
    examples=[
        "tryon-bench doctor DATA --setting unpaired",
        "tryon-bench doctor DATA --pred mine=RESULTS --pred theirs=OTHER --json",
    ],
)
def doctor_command(
    data: DataArgument,
    pred: PredOption = None,
    methods: OptionalRegistryOption = None,
    setting: SettingOption = "paired",
    fmt: FormatOption = "auto",
    pairs: PairsOption = None,
    split: SplitOption = "test",
    scheme: SchemeOption = None,
    folder: FolderOption = None,
    pattern: PatternOption = "auto",
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Look at a data set and at results before they cost an evaluation; exit code 1 where there is an error."""
    from ..data.open import open_dataset
    from ..data.predictions import match
    from ..data.registered import registered_predictions
    from ..doctor.check import check

    dataset = open_dataset(
        data, fmt, setting, pairs, split=split, parse_scheme=scheme, folders=role_folders(folder)
    )
    found = {name: match(dataset, path, pattern).files for name, path in named_folders(pred).items()}
    if methods is not None:
        found |= registered_predictions(dataset, methods, allow_missing=True)
    findings = check(dataset, found)
    errors = sum(finding.level == "error" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    emit(
        {"errors": errors, "warnings": warnings, "findings": [finding.as_row() for finding in findings]},
        as_json,
        "\n".join([*map(str, findings), f"{errors} errors, {warnings} warnings"]),
    )
    if errors:
        raise typer.Exit(1)


@command(
    app,
    "diff-protocols",
    examples=[
        "tryon-bench diff-protocols hr-viton ladi-vton",
        "tryon-bench diff-protocols tryon-bench-1 catvton --json",
    ],
)
def diff_protocols_command(
    first: Annotated[str, typer.Argument(metavar="A", help="A preset, or a TOML file.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Say in words why numbers of two protocols cannot be compared, and how much each choice changes."""
    from ..protocol.diff import diff_protocols
    from ..protocol.presets import load_protocol

    a, b = load_protocol(first), load_protocol(second)
    differences = diff_protocols(a, b)
    breaking = [str(d) for d in differences if not d.comparable]
    added = [str(d) for d in differences if d.comparable]
    blocks = [f"{a.stamp} and {b.stamp}"]
    blocks += ["Numbers of one name differ because of", *(f"  {text}" for text in breaking)] if breaking else []
    blocks += ["Measured by one of them only, or more of it", *(f"  {text}" for text in added)] if added else []
    blocks += [] if differences else ["the same protocol"]
    for protocol in (a, b):
        blocks += [f"Notes on {protocol.name}", *(f"  {note}" for note in protocol.notes)]
    emit(
        {
            "protocols": [{"name": p.name, "hash": p.hash, "notes": list(p.notes)} for p in (a, b)],
            "comparable": not breaking,
            "differences": [vars(d) for d in differences],
        },
        as_json,
        "\n".join(blocks),
    )


@command(
    app,
    "registry",
    examples=[
        "tryon-bench registry methods --warp flow --since 2022",
        "tryon-bench registry results --dataset VITON --metric fid --setting paired --region all --plot fid.png",
    ],
)
def registry_command(
    table: Annotated[
        Literal["methods", "results", "published", "grades"],
        typer.Argument(metavar="TABLE", help="methods, results, published or grades."),
    ],
    method: Annotated[str | None, typer.Option("--method", metavar="NAME", help="One method.")] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="NAME", help="Colour of the survey's figure.")
    ] = None,
    pipeline: Annotated[str | None, typer.Option("--pipeline", metavar="I..VII", help="Pipeline type.")] = None,
    warp: Annotated[
        str | None, typer.Option("--warp", metavar="NAME", help="tps, stn, flow, implicit, uv.")
    ] = None,
    stage: Annotated[str | None, typer.Option("--stage", metavar="NAME", help="Try-on stage.")] = None,
    since: Annotated[int | None, typer.Option("--since", help="First year.")] = None,
    until: Annotated[int | None, typer.Option("--until", help="Last year.")] = None,
    dataset: Annotated[Literal["VITON", "VITON-HD"] | None, typer.Option("--dataset", help="Test set.")] = None,
    metric: Annotated[
        Literal["ssim", "lpips", "fid", "inception_score", "semantic_score"] | None,
        typer.Option("--metric", help="What was plotted."),
    ] = None,
    setting: Annotated[Literal["paired", "unpaired"] | None, typer.Option("--setting", help="Setting.")] = None,
    region: Annotated[
        Literal["all", "clothing", "person"] | None, typer.Option("--region", help="Region.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw `results` over the years.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Query the survey's 40 methods and the numbers read from its plots, with provenance and reading errors."""
    from ..registry.listing import list_table
    from ..registry.query import find_results

    rows, text = list_table(
        table,
        methods={
            "method": method, "tag": tag, "pipeline": pipeline, "warp": warp, "stage": stage, "since": since,
            "until": until,
        },
        results={"method": method, "dataset": dataset, "metric": metric, "setting": setting, "region": region},
    )  # fmt: skip
    if plot is not None:
        from ..registry.figure import plot_over_time

        found = find_results(method=method, dataset=dataset, metric=metric, setting=setting, region=region)
        line = plot_over_time(found, plot)
        slope = (
            "" if line is None else f": {line.slope:+.4g} a year ({line.low:+.4g} to {line.high:+.4g}, n {line.n})"
        )
        text += f"\n{plot}{slope}"
    emit({"table": table, "rows": rows}, as_json, text)
