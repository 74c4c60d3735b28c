"""Commands of data: synth, prepare and doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .._shared.cli import DebugOption, JsonOption, QuietOption, SeedOption, command, emit
from .app import app

FormatOption = Annotated[
    str, typer.Option("--format", metavar="NAME", help="Layout of the data set; auto recognises it.")
]
SplitOption = Annotated[
    Literal["patients", "official-leaky"],
    typer.Option("--split", help="Leak-free by patient, or the published code's leaky split."),
]
ReportsOption = Annotated[
    Path | None,
    typer.Option("--reports", metavar="DIR", help="Root of MIMIC-CXR's reports, where they are apart."),
]
ImageColumnOption = Annotated[
    str | None, typer.Option("--image-col", metavar="NAME", help="A table's column of image paths.")
]
TextColumnOption = Annotated[
    list[str] | None, typer.Option("--text-col", metavar="NAME", help="A table's column of text; repeatable.")
]
LabelColumnOption = Annotated[
    list[str] | None,
    typer.Option("--label-col", metavar="NAME", help="A table's column of a finding; repeatable."),
]
PatientColumnOption = Annotated[
    str | None, typer.Option("--patient-col", metavar="NAME", help="A table's column of patients.")
]
DataArgument = Annotated[Path, typer.Argument(metavar="DATA", help="Folder of a data set, a table or a shard.")]


@command(
    app,
    "synth",
    examples=["cmcgns synth mimic-cxr DATA", "cmcgns synth csv TABLE --films 40 --seed 1 --json"],
)
def synth_command(
    layout: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="mimic-cxr, chexpert, chexpert-plus, rsna, covidx, siim, object-cxr, iu-xray, roco, padchest-gr, "
            "ms-cxr, vindr, csv, parquet, jsonl or webdataset.",
        ),
    ],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An empty or new folder.")],
    films: Annotated[int, typer.Option("--films", min=10, help="Number of films, two per patient.")] = 12,
    side: Annotated[int, typer.Option("--side", min=16, help="Side of the films, pixels.")] = 64,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a small data set with planted structure: bright shapes at known places, sentences that name them."""
    from ..synth.write import write_synthetic

    write_synthetic(layout, directory, films=films, side_px=side, seed=seed or 0)
    emit({"format": layout, "directory": str(directory), "films": films}, as_json, f"{films} films in {directory}")


@command(
    app,
    "prepare",
    examples=[
        "cmcgns prepare DATA SHARDS --side 256 --workers 2",
        "cmcgns prepare TABLE/data.csv SHARDS --image-col image --text-col report --resume",
    ],
)
def prepare_command(
    data: DataArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the shards.")],
    data_format: FormatOption = "auto",
    reports: ReportsOption = None,
    image_column: ImageColumnOption = None,
    text_columns: TextColumnOption = None,
    label_columns: LabelColumnOption = None,
    patient_column: PatientColumnOption = None,
    split: SplitOption = "patients",
    side: Annotated[int, typer.Option("--side", min=16, help="Long side of the films, pixels.")] = 256,
    shard_size: Annotated[int, typer.Option("--shard-size", min=1, help="Films per shard.")] = 1000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", metavar="", help="Complete an interrupted set.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Write resized webdataset shards with their sides; films are decoded and scaled once."""
    from dataclasses import asdict

    from ..data.config import data_config, open_data
    from ..prepare import write_shards

    config = data_config(
        data,
        data_format,
        reports=reports,
        image_column=image_column,
        text_columns=text_columns,
        label_columns=label_columns,
        patient_column=patient_column,
        split=split,
    )
    report = write_shards(
        open_data(config), out, side_px=side, shard_size=shard_size, workers=workers, resume=resume, quiet=quiet
    )
    text = f"{report.films} films in {report.shards} shards, {len(report.excluded)} films excluded\n{out}"
    emit(asdict(report), as_json, text)


@command(
    app,
    "doctor",
    examples=["cmcgns doctor DATA", "cmcgns doctor TABLE/data.csv --films 0 --json"],
)
def doctor_command(
    data: DataArgument,
    data_format: FormatOption = "auto",
    reports: ReportsOption = None,
    image_column: ImageColumnOption = None,
    text_columns: TextColumnOption = None,
    label_columns: LabelColumnOption = None,
    patient_column: PatientColumnOption = None,
    films: Annotated[int, typer.Option("--films", min=0, help="Films to read, drawn at random.")] = 200,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Examine a data set: counts, sides, leaks, repeated reports, unreadable films; exit 1 if something is found."""
    from ..data.config import data_config, open_unsplit
    from ..doctor import diagnosis_text, examine

    config = data_config(
        data,
        data_format,
        reports=reports,
        image_column=image_column,
        text_columns=text_columns,
        label_columns=label_columns,
        patient_column=patient_column,
    )
    diagnosis = examine(open_unsplit(config), films=films, seed=seed or 0, quiet=quiet)
    emit({**diagnosis.facts, "findings": diagnosis.findings}, as_json, diagnosis_text(diagnosis))
    if not diagnosis.healthy:
        raise typer.Exit(1)
