"""The command that says why numbers differ. Thin: nothing heavy is imported before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .._shared.cli import (
    DebugOption,
    DeviceOption,
    JsonOption,
    QuietOption,
    ResumeOption,
    RunDirOption,
    SeedOption,
    command,
    emit,
)
from .app import (
    DataArgument,
    FolderOption,
    FormatOption,
    PairsOption,
    PatternOption,
    SchemeOption,
    SettingOption,
    SplitOption,
    app,
    named_folders,
    role_folders,
)


@command(
    app,
    "explain",
    examples=[
        "tryon-bench explain DATA --pred mine=RESULTS --run-dir runs/why",
        "tryon-bench explain DATA --pred mine=RESULTS --run-dir runs/gap --to ladi-vton --published 0.876",
    ],
)
def explain_command(
    data: DataArgument,
    pred: Annotated[str, typer.Option("--pred", metavar="NAME=DIR", help="The method's results.")],
    run_dir: RunDirOption,
    to: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="Protocol of the number you want to understand.")
    ] = None,
    start: Annotated[
        str, typer.Option("--from", metavar="NAME", help="Protocol of your own number.")
    ] = "tryon-bench-1",
    metric: Annotated[
        Literal["ssim", "psnr", "lpips", "fid", "kid"], typer.Option("--metric", help="Which number.")
    ] = "ssim",
    region: Annotated[
        Literal["all", "clothing", "person"], typer.Option("--region", help="Of which region.")
    ] = "all",
    published: Annotated[
        float | None, typer.Option("--published", metavar="VALUE", help="The number to compare with.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=3, help="At most so many pairs, evenly spread.")
    ] = None,
    setting: SettingOption = "paired",
    fmt: FormatOption = "auto",
    pairs: PairsOption = None,
    split: SplitOption = "test",
    scheme: SchemeOption = None,
    folder: FolderOption = None,
    pattern: PatternOption = "auto",
    weights_dir: Annotated[
        Path | None, typer.Option("--weights-dir", metavar="DIR", help="Folder of your weight files.")
    ] = None,
    random_weights: Annotated[
        bool,
        typer.Option("--test-random-weights", metavar="", help="Random network weights; stamps NOT COMPARABLE."),
    ] = False,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """One folder under all presets; with --to, the gap between two protocols taken apart by its causes."""
    from .._shared.engine.device import resolve_device
    from ..data.open import open_dataset
    from ..data.predictions import resolve_predictions
    from ..explain.explain import Job, explain_gap, limited, under_all_presets
    from ..explain.text import explanation_text, presets_text
    from ..protocol.presets import load_protocol

    whole = open_dataset(data, fmt, setting, pairs, split=split, parse_scheme=scheme, folders=role_folders(folder))
    dataset = limited(whole, limit)
    name, results = next(iter(named_folders([pred]).items()))
    files = resolve_predictions(whole, results, pattern)
    job = Job(
        dataset,
        name,
        {s.pair_id: files[s.pair_id] for s in dataset.samples},
        run_dir,
        weights_dir,
        (seed or 0) if random_weights else None,
        str(resolve_device(device)),
        resume,
        quiet,
    )
    if to is None:
        evaluation, missing = under_all_presets(job)
        emit({**evaluation.to_json(), "missing": missing}, as_json, presets_text(evaluation, missing))
        return
    found = explain_gap(job, load_protocol(start), load_protocol(to), metric, region, published)
    shown = {**vars(found), "causes": [vars(e) for e in found.causes], "what_if": [vars(e) for e in found.what_if]}
    emit({**shown, "unexplained": found.unexplained}, as_json, explanation_text(found))
