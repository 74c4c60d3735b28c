"""Evaluations as text for a terminal and as files for later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ._shared.files import atomic_write, require_writable_dir
from ._shared.report.figures import Series, line_chart_svg, strip_chart_svg
from ._shared.report.html import Figure, Section, Table, render_report
from ._shared.strict_json import to_json
from .calibration import Calibration
from .evaluate import Evaluation, summary_table
from .review import worst_cases

POLICIES = {
    "undefined": (
        'Empty masks, policy "undefined": a missed organ counts as Dice 0 and has no surface distance; an organ that '
        "is absent and not predicted enters no mean; both are counted beside n."
    ),
    "worst": (
        'Empty masks, policy "worst": a missed or invented organ counts as Dice 0 and as a surface distance of the '
        "image diagonal; an organ that is absent and not predicted enters no mean and is counted beside n."
    ),
}
TRANSUNET = (
    "TransUNet convention, for comparison with published tables only: false positives score Dice 1, missed organs "
    "HD95 0, distances in voxels."
)
SMOOTHED = (
    "Official CVC-ClinicDB convention, for comparison with published tables only: per image, with 1 added above and "
    "below, so that an empty prediction of an empty mask scores 1."
)


def evaluation_text(evaluation: Evaluation) -> str:
    """Means per class with intervals and n, the policy, and the official conventions beside it."""
    policy = POLICIES[evaluation.rows[0].policy]
    lines = [text_table(*summary_table(evaluation, shown_metrics(evaluation))), policy]
    return "\n".join([*lines, *convention_lines(evaluation)])


def convention_lines(evaluation: Evaluation) -> list[str]:
    """The means under the conventions of published tables, each in a sentence that says what it rewards."""
    means = {row.metric: row.mean for row in evaluation.transunet if row.label is None}
    lines = [f"{TRANSUNET} Dice {means['dice']:.3f}, HD95 {means['hd95_voxel']:.2f} voxels."]
    if evaluation.smoothed:
        means = {row.metric: row.mean for row in evaluation.smoothed if row.label is None}
        lines.append(f"{SMOOTHED} Dice {means['dice']:.3f}, IoU {means['iou']:.3f}.")
    return lines


def shown_metrics(evaluation: Evaluation) -> tuple[str, ...]:
    """The metrics of the table, in the unit that the masks have."""
    unit = "mm" if any(row.metric == "hd95_mm" for row in evaluation.summary) else "px"
    return ("dice", f"hd95_{unit}", "nsd")


def write_evaluation(evaluation: Evaluation, directory: Path, worst: bytes | None = None) -> Path:
    """Write `metrics.json` and `report.html`; returns the report's path.

    Args:
        evaluation: what to show.
        directory: written into; made if missing.
        worst: a PNG file with the worst cases.

    Raises:
        ResourceError: the directory cannot be written.
    """
    require_writable_dir(directory)
    atomic_write(directory / "metrics.json", to_json(evaluation.to_json(), indent=2) + "\n")
    sections = [_means(evaluation), _per_class(evaluation), _worst(evaluation, worst)]
    if evaluation.predicted_dice:
        sections.append(_review(evaluation))
    if evaluation.calibration is not None:
        sections.append(_calibration(evaluation.calibration))
    atomic_write(directory / "report.html", render_report("mslaunet evaluation", sections))
    return directory / "report.html"


def _means(evaluation: Evaluation) -> Section:
    metrics = list(dict.fromkeys(row.metric for row in evaluation.summary))
    text = "\n\n".join([POLICIES[evaluation.rows[0].policy], *convention_lines(evaluation)])
    return Section("Means", text, tables=[Table(*summary_table(evaluation, metrics))])


def _per_class(evaluation: Evaluation) -> Section:
    groups: dict[str, list[float]] = {}
    for row in evaluation.rows:
        groups.setdefault(row.name, []).append(row.values["dice"])
    chart = strip_chart_svg(groups, x_label="Dice of a case (bar: mean)")
    return Section("Per class", figures=[Figure(chart, "One dot per case.", "Dice of every case, by class")])


def _worst(evaluation: Evaluation, picture: bytes | None) -> Section:
    rows = [[name, f"{mean:.3f}", str(count)] for name, mean, count in worst_cases(evaluation)[:20]]
    caption = "The slice of each case in which reference and prediction differ most."
    figures = (
        [] if picture is None else [Figure(picture, caption, "image, reference and prediction of the worst cases")]
    )
    table = Table(["case", "mean Dice", "classes"], rows)
    return Section("Worst cases", "Lowest mean Dice first.", tables=[table], figures=figures)


def _review(evaluation: Evaluation) -> Section:
    actual = {name: mean for name, mean, _ in worst_cases(evaluation)}
    ranked = sorted(evaluation.predicted_dice.items(), key=lambda case: case[1])
    rows = [[name, f"{value:.3f}", _number(actual.get(name))] for name, value in ranked]
    text = (
        "Lowest predicted Dice first: what a person should look at before the others. Predicted from the model's own "
        "probabilities (2 x the probability inside the mask over the mask's size plus all probability), without the "
        "reference; it is as good as the calibration."
    )
    if (correlation := _rank_correlation(evaluation.predicted_dice, actual)) is not None:
        text += f" Rank correlation with the measured Dice: {correlation:.2f} over {len(actual)} cases."
    return Section("Needs review", text, tables=[Table(["case", "predicted Dice", "measured Dice"], rows)])


def _calibration(calibration: Calibration) -> Section:
    chart = line_chart_svg(
        [
            Series("perfect", [0, 1], [0, 1]),
            Series("model", calibration.confidence, calibration.accuracy),
        ],
        x_label="confidence",
        y_label="fraction that is right",
    )
    text = (
        f"Expected calibration error {calibration.ece:.3f} over {sum(calibration.count):,} voxels where the "
        "prediction or the reference is not background."
    )
    return Section("Calibration", text, figures=[Figure(chart, "15 bins of confidence", "reliability diagram")])


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _rank_correlation(predicted: Mapping[str, float], actual: Mapping[str, float]) -> float | None:
    """Spearman's rank correlation; None for fewer than three cases or constant values."""
    from scipy.stats import spearmanr

    cases = [case for case in predicted if case in actual]
    columns = [[values[case] for case in cases] for values in (predicted, actual)]
    if len(cases) < 3 or any(len(set(column)) == 1 for column in columns):
        return None
    return float(spearmanr(*columns).statistic)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned with spaces, the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in [header, ["-" * w for w in widths], *rows]
    ]
    return "\n".join(lines)
