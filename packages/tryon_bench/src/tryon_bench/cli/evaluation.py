"""Commands that evaluate, compare and show. Thin: nothing heavy is imported before one runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    height_width,
    named_folders,
    role_folders,
)

if TYPE_CHECKING:
    from ..stats.bradley_terry import Strength

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished `evaluate`.")]
PredictionsOption = Annotated[
    list[str] | None, typer.Option("--pred", metavar="NAME=DIR", help="A method's folder of results; repeatable.")
]
ProtocolOption = Annotated[
    list[str] | None,
    typer.Option("--protocol", metavar="NAME", help="Preset or TOML file; repeatable, all in one pass."),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights-dir", metavar="DIR", help="Folder of your weight files (Inception, CLIP, ...)."),
]
RandomOption = Annotated[
    bool,
    typer.Option("--test-random-weights", metavar="", help="Random network weights; stamps NOT COMPARABLE."),
]
AllowOption = Annotated[
    bool,
    typer.Option("--allow", metavar="", help="Go on despite findings; affected pairs are left out and counted."),
]


@command(
    app,
    "evaluate",
    examples=[
        "tryon-bench evaluate DATA --pred oracle=DATA/oracle/paired --run-dir runs/first",
        "torchrun --nproc-per-node=2 -m tryon_bench evaluate DATA --pred a=A --pred b=B --run-dir runs/two",
    ],
)
def evaluate_command(
    data: DataArgument,
    run_dir: RunDirOption,
    predictions: PredictionsOption = None,
    methods: Annotated[
        Path | None, typer.Option("--methods", metavar="FILE", help="Also take the methods registered here.")
    ] = None,
    protocol: ProtocolOption = None,
    setting: SettingOption = "paired",
    fmt: FormatOption = "auto",
    pairs: PairsOption = None,
    split: SplitOption = "test",
    scheme: SchemeOption = None,
    folder: FolderOption = None,
    pattern: PatternOption = "auto",
    weights_dir: WeightsOption = None,
    random_weights: RandomOption = False,
    allow: AllowOption = False,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="K/N", help="Score the K-th of N parts; a last call sums up.")
    ] = None,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Score the results of methods under one or several protocols; refuses data that the doctor finds fault with."""
    from ..data.open import open_dataset
    from ..engine.processes import own_device, parse_shard
    from ..evaluate import EvaluationRequest, evaluate_folders

    dataset = open_dataset(
        data, fmt, setting, pairs, split=split, parse_scheme=scheme, folders=role_folders(folder)
    )
    request = EvaluationRequest(
        dataset=dataset,
        folders=named_folders(predictions),
        registry=methods,
        pattern=pattern,
        protocols=tuple(protocol or ("tryon-bench-1",)),
        weights_dir=weights_dir,
        random_seed=(seed or 0) if random_weights else None,
        device=str(own_device(device)),
        allow=allow,
    )
    evaluation = evaluate_folders(request, run_dir, resume=resume, shard=parse_shard(shard), quiet=quiet)
    if evaluation is None:
        emit(
            {"shard": shard, "run_dir": str(run_dir)}, as_json, f"this part is scored; the parts are in {run_dir}"
        )
        return
    from ..report.tables import leaderboards, write_table

    shown = "\n".join(write_table(board, "markdown") for board in leaderboards(evaluation))
    emit(evaluation.to_json(), as_json, f"{shown}\n{run_dir}")


@command(
    app,
    "compare",
    examples=["tryon-bench compare runs/first", "tryon-bench compare runs/first --metric lpips_alex --json"],
)
def compare_command(
    run: RunArgument,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="NAME", help="Only this per-pair metric, such as lpips_alex.")
    ] = None,
    region: Annotated[Literal["all", "clothing", "person"], typer.Option("--region", help="Region.")] = "all",
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Paired tests between the methods of a run, with Holm's adjustment; exit 1 if no difference is significant."""
    from ..compare import compare_run, comparison_text

    tables = compare_run(run, metric=metric, region=region)
    emit({"tables": [table.to_json() for table in tables]}, as_json, comparison_text(tables))
    if not any(table.significant for table in tables):
        raise typer.Exit(1)


@command(
    app,
    "report",
    examples=["tryon-bench report runs/first", "tryon-bench report runs/first --table latex"],
)
def report_command(
    run: RunArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The page; report.html in RUN by default.")
    ] = None,
    table: Annotated[
        Literal["markdown", "latex", "csv", "json"] | None,
        typer.Option("--table", help="Print the leaderboards instead of writing a page."),
    ] = None,
    votes: Annotated[
        list[Path] | None, typer.Option("--votes", metavar="FILE", help="Exported votes to rank; repeatable.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write one self-contained HTML page: leaderboards, comparisons, worst cases; or tables for a paper."""
    from ..engine.evaluation import read_evaluation
    from ..report.page import write_report
    from ..report.tables import leaderboards, write_table

    evaluation = read_evaluation(run)
    if table is not None:
        texts = [write_table(board, table) for board in leaderboards(evaluation)]
        emit({"tables": texts}, as_json, "\n".join(texts))
        return
    path = write_report(evaluation, out or run / "report.html", strengths=_strengths(run, votes))
    emit({"report": str(path)}, as_json, str(path))


def _strengths(run: Path, votes: list[Path] | None) -> list[Strength]:
    from ..report.arena import KEY_FILE, read_votes
    from ..stats.bradley_terry import bradley_terry

    return bradley_terry(read_votes(run / KEY_FILE, votes)) if votes else []


@command(
    app,
    "arena",
    examples=["tryon-bench arena runs/first --duels 40", "tryon-bench arena runs/first --votes votes.json"],
)
def arena_command(
    run: RunArgument,
    duels: Annotated[int, typer.Option("--duels", min=1, help="Number of questions.")] = 60,
    votes: Annotated[
        list[Path] | None, typer.Option("--votes", metavar="FILE", help="Rank these exported votes; repeatable.")
    ] = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write the blind A/B page of a run, or rank exported votes (Bradley-Terry)."""
    from ..engine.evaluation import read_evaluation
    from ..report.arena import write_arena
    from ..report.labels import number

    if votes:
        rows = _strengths(run, votes)
        lines = [
            f"{r.method}  {number(r.strength)} ({number(r.low)} to {number(r.high)})  n={r.votes}" for r in rows
        ]
        emit({"ranking": [row.to_json() for row in rows]}, as_json, "\n".join(lines))
        return
    path = write_arena(read_evaluation(run), run, duels=duels, seed=seed or 0)
    emit({"arena": str(path)}, as_json, str(path))


@command(
    app,
    "meta",
    examples=["tryon-bench meta --run-dir runs/meta", "tryon-bench meta --run-dir runs/meta --cases 256 --json"],
)
def meta_command(
    run_dir: RunDirOption,
    cases: Annotated[int, typer.Option("--cases", min=16, help="Synthetic persons.")] = 256,
    size: Annotated[str, typer.Option("--size", metavar="HxW", help="Size of their photos, pixels.")] = "128x96",
    seed: SeedOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Damage one region at a time and see which metrics notice; exit 1 if a metric also reacts to the other region."""
    from ..meta.study import run_study
    from ..meta.text import study_text

    study = run_study(run_dir, cases=cases, size=height_width(size), seed=seed or 0, quiet=quiet)
    emit(study.to_json(), as_json, study_text(study))
    if not study.selective:
        raise typer.Exit(1)


@command(
    app,
    "demo",
    examples=["tryon-bench demo", "tryon-bench demo --run-dir runs/tryon --resume"],
)
def demo_command(
    run_dir: RunDirOption = Path("runs/tryon-bench-demo"),
    seed: SeedOption = None,
    resume: ResumeOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Evaluate four simple methods on synthetic persons under two protocols, and show how these disagree."""
    from ..demo import demo_text, run_demo

    demo = run_demo(run_dir, seed=seed or 0, resume=resume, quiet=quiet)
    emit(demo.to_json(), as_json, demo_text(demo))
