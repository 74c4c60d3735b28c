"""Commands that use a model, from vectors to ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .._shared.cli import DebugOption, DeviceOption, JsonOption, QuietOption, SeedOption, command, emit
from .app import ModelOption, app
from .data import (
    DataArgument,
    FormatOption,
    ImageColumnOption,
    LabelColumnOption,
    PatientColumnOption,
    ReportsOption,
    TextColumnOption,
)

if TYPE_CHECKING:
    from ..data.pairs import PairDataset

EncoderOption = Annotated[
    str,
    typer.Option("--model", metavar="DIR", help="A run or model directory, hub:owner/name, or foreign:KIND:PATH."),
]
SideOption = Annotated[
    Literal["train", "validation", "test"], typer.Option("--side", help="Side of the split that is measured.")
]
PromptsOption = Annotated[
    Path | None, typer.Option("--prompts", metavar="FILE", help="Sentences per finding, as TOML.")
]
LabelsOption = Annotated[
    list[str] | None, typer.Option("--label", metavar="NAME", help="Only this finding; repeatable.")
]


@command(
    app,
    "embed",
    examples=[
        "cmcgns embed DATA --model runs/first --out vectors",
        "cmcgns embed TABLE/data.csv --model runs/first --out vectors --json",
    ],
)
def embed_command(
    data: DataArgument,
    model: EncoderOption,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for vectors and their rows.")],
    data_format: FormatOption = "auto",
    reports: ReportsOption = None,
    image_column: ImageColumnOption = None,
    text_columns: TextColumnOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Write the vectors of all films and reports of a data set."""
    from ..encoders import open_encoder
    from ..features import write_embeddings

    dataset = _open(data, data_format, reports, image_column, text_columns)
    counts = write_embeddings(open_encoder(model, device=device), dataset, out, quiet=quiet)
    emit(
        counts,
        as_json,
        f"{counts['images']} images, {counts['reports']} reports, {counts['dim']} numbers each\n{out}",
    )


@command(
    app,
    "zeroshot",
    examples=[
        "cmcgns zeroshot DATA --model runs/first",
        "cmcgns zeroshot DATA --model runs/first --label Edema --prompts prompts.toml --json",
    ],
)
def zeroshot_command(
    data: DataArgument,
    model: EncoderOption,
    data_format: FormatOption = "auto",
    reports: ReportsOption = None,
    image_column: ImageColumnOption = None,
    text_columns: TextColumnOption = None,
    label_columns: LabelColumnOption = None,
    patient_column: PatientColumnOption = None,
    side: SideOption = "test",
    labels: LabelsOption = None,
    prompts: PromptsOption = None,
    mode: Annotated[
        Literal["contrast", "positive"],
        typer.Option("--mode", help="Statement against denial, or the statement alone."),
    ] = "contrast",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Classify films by sentences for and against each finding; no training."""
    from ..encoders import open_encoder
    from ..evaluate import Evaluation, evaluation_text
    from ..prompts import read_prompts
    from ..zeroshot import zero_shot

    encoder = open_encoder(model, device=device)
    part = _open(data, data_format, reports, image_column, text_columns, label_columns, patient_column).side(side)
    given = read_prompts(prompts) if prompts else None
    result = zero_shot(encoder, part, names=labels, prompts=given, mode=mode, quiet=quiet)
    shown = Evaluation(encoder.name, encoder.comparable, len(part), "", zero_shot=result)
    emit(
        {"model": encoder.name, "comparable": encoder.comparable, **result.to_json()},
        as_json,
        evaluation_text(shown),
    )


@command(
    app,
    "retrieve",
    examples=[
        "cmcgns retrieve DATA --model runs/first",
        "cmcgns retrieve DATA --model runs/first --k 1 --k 100 --duplicates study --json",
    ],
)
def retrieve_command(
    data: DataArgument,
    model: EncoderOption,
    data_format: FormatOption = "auto",
    reports: ReportsOption = None,
    image_column: ImageColumnOption = None,
    text_columns: TextColumnOption = None,
    patient_column: PatientColumnOption = None,
    side: SideOption = "test",
    ks: Annotated[list[int] | None, typer.Option("--k", min=1, help="Answers that count; repeatable.")] = None,
    duplicates: Annotated[
        Literal["text", "study", "none"],
        typer.Option("--duplicates", help="What counts as the same report."),
    ] = "text",
    chunk: Annotated[int, typer.Option("--chunk", min=1, help="Queries compared at a time.")] = 1024,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Find reports by films and films by reports: recall@k that knows that reports repeat."""
    from ..encoders import open_encoder
    from ..evaluate import Evaluation, evaluation_text
    from ..retrieval import retrieve

    encoder = open_encoder(model, device=device)
    part = _open(data, data_format, reports, image_column, text_columns, None, patient_column).side(side)
    chosen = tuple(ks or (1, 5, 10))
    result = retrieve(encoder, part, ks=chosen, duplicates=duplicates, chunk=chunk, quiet=quiet)
    shown = Evaluation(encoder.name, encoder.comparable, len(part), "", retrieval=result)
    emit(
        {"model": encoder.name, "comparable": encoder.comparable, **result.to_json()},
        as_json,
        evaluation_text(shown),
    )


@command(
    app,
    "ground",
    examples=[
        "cmcgns ground DATA --model runs/first",
        "cmcgns ground MS_CXR --images MIMIC --model runs/first --side test --json",
    ],
)
def ground_command(
    data: DataArgument,
    model: EncoderOption,
    data_format: FormatOption = "auto",
    images: Annotated[
        Path | None, typer.Option("--images", metavar="DIR", help="Root of MIMIC-CXR-JPG, for MS-CXR.")
    ] = None,
    language: Annotated[Literal["en", "es"], typer.Option("--language", help="Sentences of PadChest-GR.")] = "en",
    side: SideOption = "test",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Score heat maps of sentences against boxes: pointing game, CNR and IoU, beside chance."""
    from ..data.config import DataConfig, open_data
    from ..encoders import open_encoder
    from ..evaluate import Evaluation, evaluation_text
    from ..grounding import ground

    encoder = open_encoder(model, device=device)
    config = DataConfig.model_validate(
        {"root": data, "format": data_format, "images": images, "language": language}
    )
    part = open_data(config).side(side)
    result = ground(encoder, part, quiet=quiet)
    shown = Evaluation(encoder.name, encoder.comparable, len(part), "", grounding=result)
    emit(
        {"model": encoder.name, "comparable": encoder.comparable, **result.to_json()},
        as_json,
        evaluation_text(shown),
    )


@command(
    app,
    "probe",
    examples=[
        "cmcgns probe DATA --model runs/first",
        "cmcgns probe DATA --model runs/first --fraction 0.01 --shots 8 --seeds 10 --json",
    ],
)
def probe_command(
    data: DataArgument,
    model: EncoderOption,
    data_format: FormatOption = "auto",
    reports: ReportsOption = None,
    image_column: ImageColumnOption = None,
    text_columns: TextColumnOption = None,
    label_columns: LabelColumnOption = None,
    patient_column: PatientColumnOption = None,
    labels: LabelsOption = None,
    fractions: Annotated[
        list[float] | None,
        typer.Option("--fraction", min=0, max=1, help="Share of the training films; repeatable."),
    ] = None,
    shots: Annotated[
        list[int] | None,
        typer.Option("--shots", min=1, help="Films of each class; repeatable."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Draws of each share.")] = 5,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Fit linear classifiers on frozen features: 1, 10 and 100 % of the labels, or few shots."""
    from ..encoders import open_encoder
    from ..evaluate import Evaluation, evaluation_text
    from ..probe import probe

    encoder = open_encoder(model, device=device)
    dataset = _open(data, data_format, reports, image_column, text_columns, label_columns, patient_column)
    amounts = tuple(fractions or (() if shots else (0.01, 0.1, 1.0)))
    scores = probe(
        encoder, dataset, names=labels, fractions=amounts, shots=tuple(shots or ()), seeds=seeds, quiet=quiet
    )
    shown = Evaluation(encoder.name, encoder.comparable, len(dataset), "", probes=tuple(scores))
    document = {
        "model": encoder.name,
        "comparable": encoder.comparable,
        "probes": [score.to_json() for score in scores],
    }
    emit(document, as_json, evaluation_text(shown))


@command(
    app,
    "evaluate",
    examples=[
        "cmcgns evaluate DATA --model runs/first --run-dir runs/scores",
        "cmcgns evaluate DATA --model foreign:open-clip:BiomedCLIP --run-dir runs/other --json",
    ],
)
def evaluate_command(
    data: DataArgument,
    model: EncoderOption,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="Also write metrics, scores and a page here.")
    ] = None,
    data_format: FormatOption = "auto",
    reports: ReportsOption = None,
    image_column: ImageColumnOption = None,
    text_columns: TextColumnOption = None,
    label_columns: LabelColumnOption = None,
    patient_column: PatientColumnOption = None,
    side: SideOption = "test",
    prompts: PromptsOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure everything that the data set allows: zero-shot, retrieval, grounding, probes."""
    from .._shared.files import require_writable_dir
    from ..encoders import open_encoder
    from ..evaluate import evaluate, evaluation_text, write_evaluation
    from ..prompts import read_prompts

    if run_dir is not None:
        require_writable_dir(run_dir)  # before the work, not after it
    encoder = open_encoder(model, device=device)
    dataset = _open(data, data_format, reports, image_column, text_columns, label_columns, patient_column)
    given = read_prompts(prompts) if prompts else None
    result = evaluate(encoder, dataset, side=side, prompts=given, quiet=quiet)
    text = evaluation_text(result)
    if run_dir is not None:
        text += f"\n\n{write_evaluation(result, run_dir)}"
    emit(result.to_json(), as_json, text)


@command(
    app,
    "compare",
    examples=[
        "cmcgns compare DATA runs/scores runs/other",
        "cmcgns compare DATA runs/scores runs/other --k 5 --json",
    ],
)
def compare_command(
    data: DataArgument,
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder of `evaluate --run-dir`.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Folder of another model.")],
    data_format: FormatOption = "auto",
    reports: ReportsOption = None,
    image_column: ImageColumnOption = None,
    text_columns: TextColumnOption = None,
    label_columns: LabelColumnOption = None,
    patient_column: PatientColumnOption = None,
    side: SideOption = "test",
    k: Annotated[int, typer.Option("--k", min=1, help="Answers of retrieval that count.")] = 10,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare two models on the same samples: paired tests, adjusted for their number."""
    from ..compare import compare, comparison_json, comparison_text

    dataset = _open(data, data_format, reports, image_column, text_columns, label_columns, patient_column)
    rows = compare(first, second, dataset, k=k, side=side)
    emit(comparison_json(rows, first, second), as_json, comparison_text(rows))


@command(
    app,
    "clusters",
    examples=[
        "cmcgns clusters DATA --model runs/first",
        "cmcgns clusters DATA --model runs/first --clusters 64 --show 3 --json",
    ],
)
def clusters_command(
    data: DataArgument,
    model: EncoderOption,
    data_format: FormatOption = "auto",
    reports: ReportsOption = None,
    image_column: ImageColumnOption = None,
    text_columns: TextColumnOption = None,
    k: Annotated[int, typer.Option("--clusters", min=2, help="Number of centres.")] = 32,
    show: Annotated[int, typer.Option("--show", min=1, help="Sentences shown per centre.")] = 5,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Show the sentences nearest to each centre: what the model takes for the same finding."""
    from ..clusters import sentence_clusters
    from ..encoders import open_encoder

    dataset = _open(data, data_format, reports, image_column, text_columns)
    result = sentence_clusters(
        open_encoder(model, device=device), dataset, k=k, show=show, seed=seed or 0, quiet=quiet
    )
    lines = [
        f"{result.n} sentences, {result.empty} empty centres, share of the largest report {result.report_share:.2f}"
    ]
    for cluster in result.clusters:
        lines.append(
            f"{cluster.sentences} sentences of {cluster.reports} reports, cohesion {cluster.cohesion:.3f}"
        )
        lines += [f"  {value:.3f}  {text}" for text, value in cluster.nearest]
    emit(result.to_json(), as_json, "\n".join(lines))


@command(
    app,
    "explain",
    examples=[
        'cmcgns explain film.png "No effusion. Edema." --model runs/first --out page.html',
        "cmcgns explain film.dcm report.txt --model runs/first --out page.html --json",
    ],
)
def explain_command(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A film: PNG, JPEG, TIFF or DICOM.")],
    report: Annotated[str, typer.Argument(metavar="REPORT", help="The report's text, or a .txt file.")],
    model: EncoderOption,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page.")] = Path("explanation.html"),
    margin: Annotated[
        float, typer.Option("--margin", help="How much nearer than its opposite a sentence must be, in cosine.")
    ] = 0.0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show where a film supports each sentence of a report, and flag the sentences that it does not support."""
    from ..data.sources import read_text
    from ..encoders import open_encoder
    from ..explain import write_explanation

    text = read_text(Path(report)) if report.lower().endswith(".txt") else report
    rows = write_explanation(open_encoder(model, device=device), image, text, out, margin=margin)
    shown = [
        f"{'supported    ' if row.supported else 'NOT SUPPORTED'}  {row.similarity:6.3f}  {row.sentence}"
        for row in rows
    ]
    emit({"sentences": [row.to_json() for row in rows], "page": str(out)}, as_json, "\n".join([*shown, str(out)]))


@command(
    app,
    "search",
    examples=[
        'cmcgns search "right apical pneumothorax" FOLDER --model runs/first',
        'cmcgns search "no effusion" FOLDER --model runs/first --index vectors.safetensors --top 3 --json',
    ],
)
def search_command(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A sentence.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Films, also in subfolders.")],
    model: EncoderOption,
    top: Annotated[int, typer.Option("--top", min=1, help="How many films.")] = 10,
    index: Annotated[
        Path | None,
        typer.Option("--index", metavar="FILE", help="Keep the vectors here (.safetensors) for the next query."),
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Find films by what a sentence says."""
    from ..encoders import open_encoder
    from ..search import search

    hits = search(open_encoder(model, device=device), query, folder, top=top, index=index, quiet=quiet)
    rows = [{"film": hit.film, "similarity": hit.similarity} for hit in hits]
    emit({"query": query, "hits": rows}, as_json, "\n".join(f"{hit.similarity:6.3f}  {hit.film}" for hit in hits))


@command(
    app,
    "export",
    examples=[
        "cmcgns export ONNX --model runs/first",
        "cmcgns export ONNX --model runs/first --channels 3 --json",
    ],
)
def export_command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the ONNX files.")],
    model: ModelOption,
    max_sentences: Annotated[
        int, typer.Option("--max-sentences", min=1, help="Largest number of sentences of a report.")
    ] = 32,
    channels: Annotated[int, typer.Option("--channels", help="Of the images, 1 or 3.")] = 1,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write both towers and the grounding map as ONNX, each compared with PyTorch."""
    from ..export import export
    from ..weights import load

    result = export(load(model, device="cpu"), out, max_sentences=max_sentences, channels=channels)
    lines = [f"{name}: deviates by {value:.1e} at most" for name, value in result["deviations"].items()]
    emit(result, as_json, "\n".join([*lines, str(out)]))


def _open(
    data: Path,
    data_format: str,
    reports: Path | None,
    image_column: str | None,
    text_columns: list[str] | None,
    label_columns: list[str] | None = None,
    patient_column: str | None = None,
) -> PairDataset:
    """A data set with its sides, from a command's flags."""
    from ..data.config import data_config, open_data

    config = data_config(
        data,
        data_format,
        reports=reports,
        image_column=image_column,
        text_columns=text_columns,
        label_columns=label_columns,
        patient_column=patient_column,
    )
    return open_data(config)
