"""Evaluations and calibrations as text and as one HTML page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ._shared.files import atomic_write
from ._shared.metrics.classification import OperatingPoint, Proportion, reliability
from ._shared.metrics.statistics import PatientInterval
from ._shared.report.figures import Series, line_chart_svg
from ._shared.report.html import Cell, Figure, Section, Table, render_report
from .cases import columns
from .evaluate import ClassificationSummary, Evaluation, LocaliserSummary

NOT_FOR_PATIENTS = "Trained on synthetic breasts: not for patients, and no statement about any."


def interval_text(value: float, low: float, high: float, n: int, undefined: str = "") -> str:
    """A number as it may be shown: with its interval and n, or why it is undefined.

    Example:
        >>> interval_text(0.9, 0.85, 0.94, 120)
        '0.900 (0.850 to 0.940, n = 120)'
    """
    if math.isnan(value):
        return f"undefined ({undefined or 'no case'}, n = {n})"
    if math.isnan(low):
        return f"{value:.3f} (no interval: {undefined or 'too few cases'}, n = {n})"
    return f"{value:.3f} ({low:.3f} to {high:.3f}, n = {n})"


def patient_text(interval: PatientInterval) -> str:
    """A bootstrap interval; n counts patients."""
    return interval_text(interval.estimate, interval.low, interval.high, interval.n_patients, interval.undefined)


def share_text(share: Proportion) -> str:
    """A proportion with its exact interval."""
    return interval_text(share.value, share.low, share.high, share.n)


def auc_text(group: ClassificationSummary) -> str:
    """AUC with its patient-clustered DeLong interval."""
    return interval_text(group.auc, group.auc_low, group.auc_high, group.n_patients, group.auc_undefined)


def evaluation_text(evaluation: Evaluation) -> str:
    """What `evaluate` prints."""
    whole = evaluation.groups[0]
    lines = [NOT_FOR_PATIENTS] if evaluation.phantom else []
    lines += [
        f"{whole.n} breasts of {whole.n_patients} patients, {whole.n_positive} malignant",
        f"AUC {auc_text(whole)}",
        *(f"{name} {patient_text(metric)}" for name, metric in whole.metrics.items()),
        *(_point_text(name, point) for name, point in whole.points.items()),
        *(f"AUC of {group.group}: {auc_text(group)}" for group in evaluation.groups[1:]),
        *(_localiser_text(row) for row in evaluation.localisers),
        _probe_text(evaluation),
    ]
    if not evaluation.calibrated:
        lines.append("probabilities are not calibrated: breastmri calibrate does that on held-out breasts")
    return "\n".join(lines)


def write_report(evaluation: Evaluation, directory: Path) -> Path:
    """Write `report.html`.

    Raises:
        ResourceError: it cannot be written.
    """
    path = directory / "report.html"
    note = NOT_FOR_PATIENTS if evaluation.phantom else "Research software, not a medical device."
    atomic_write(path, render_report("Evaluation", _sections(evaluation), note=note))
    return path


def reliability_figure(curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """Reliability plot as SVG: observed share against mean probability of bins of equal size.

    Args:
        curves: name to labels and probabilities.
    """
    series = [Series("ideal", [0, 1], [0, 1])]
    for name, (labels, probs) in curves.items():
        rows = reliability(labels, probs)
        series.append(Series(name, [row.mean_prob for row in rows], [row.observed.value for row in rows]))
    return line_chart_svg(series, x_label="mean probability of the bin", y_label="share that is malignant")


def _sections(evaluation: Evaluation) -> list[Section]:
    labels, _, probs, _ = columns(evaluation.cases)
    plot = Figure(
        reliability_figure({"this model": (labels, probs)}),
        "Bins of equal size; probabilities are " + ("" if evaluation.calibrated else "not ") + "calibrated.",
        "reliability plot",
    )
    return [
        Section("Classification", tables=[_group_table(evaluation.groups)], figures=[plot]),
        Section("Operating points", tables=[_point_table(evaluation.groups[0])]),
        Section(
            "Localisation",
            "Centres of malignant breasts with an annotated centre; enhancement is the baseline without a network.",
            tables=[_localiser_table(evaluation.localisers), _froc_table(evaluation.localisers)],
        ),
        Section("Site probe", _probe_text(evaluation)),
    ]


def _group_table(groups: Sequence[ClassificationSummary]) -> Table:
    names = list(groups[0].metrics)
    rows: list[list[Cell]] = [
        [g.group, g.n, g.n_positive, auc_text(g), *(patient_text(g.metrics[name]) for name in names)]
        for g in groups
    ]
    return Table(["group", "breasts", "malignant", "AUC (DeLong)", *names], rows)


def _point_table(group: ClassificationSummary) -> Table:
    rows: list[list[Cell]] = [
        [name, p.threshold, *(share_text(s) for s in (p.sensitivity, p.specificity, p.ppv, p.npv))]
        for name, p in group.points.items()
    ]
    return Table(["rule", "threshold", "sensitivity", "specificity", "PPV", "NPV"], rows)


def _localiser_table(rows: Sequence[LocaliserSummary]) -> Table:
    return Table(
        ["localiser", "median error, mm", "hits within 12 mm", "inside the lesion", "spread of flips, mm"],
        [
            [
                f"{row.name}, {row.flips} flips",
                patient_text(row.median_mm),
                patient_text(row.hit_rate),
                patient_text(row.pointing_game),
                row.spread_mm,
            ]
            for row in rows
        ],
    )


def _froc_table(rows: Sequence[LocaliserSummary]) -> Table:
    rates = [f"{p.false_marks_per_breast:g} false marks" for p in rows[0].froc]
    cells = [[row.name, *(patient_text(p.sensitivity) for p in row.froc)] for row in rows]
    return Table(["FROC sensitivity at", *rates], cells)


def _localiser_text(row: LocaliserSummary) -> str:
    error, hits = patient_text(row.median_mm), patient_text(row.hit_rate)
    return f"{row.name} ({row.flips} flips): median error {error} mm, hits {hits}"


def _point_text(name: str, point: OperatingPoint) -> str:
    return f"at {name}: sensitivity {share_text(point.sensitivity)}, specificity {share_text(point.specificity)}"


def _probe_text(evaluation: Evaluation) -> str:
    probe = evaluation.site_probe
    if probe["undefined"]:
        return f"site read from the features: undefined ({probe['undefined']})"
    return (
        f"site read from the features: balanced accuracy {probe['balanced_accuracy']:.3f} "
        f"({probe['low']:.3f} to {probe['high']:.3f}, n = {probe['n_patients']}), chance {probe['chance']:.3f}"
    )
