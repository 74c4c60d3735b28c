"""Evaluations as text for a terminal and as files for later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ._shared.files import atomic_write, require_writable_dir
from ._shared.report.html import Section, Table, render_report
from ._shared.strict_json import to_json
from .evaluate import Evaluation, summary_table

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


def evaluation_text(evaluation: Evaluation) -> str:
    """Means per class with intervals and n, the policy, and the TransUNet convention beside it."""
    policy = POLICIES[evaluation.rows[0].policy]
    return "\n".join(
        [text_table(*summary_table(evaluation, shown_metrics(evaluation))), policy, transunet_line(evaluation)]
    )


def transunet_line(evaluation: Evaluation) -> str:
    """The means over classes under the TransUNet convention, in a sentence."""
    means = {row.metric: row.mean for row in evaluation.transunet if row.label is None}
    return f"{TRANSUNET} Dice {means['dice']:.3f}, HD95 {means['hd95_voxel']:.2f} voxels."


def shown_metrics(evaluation: Evaluation) -> tuple[str, ...]:
    """The metrics of the table, in the unit that the masks have."""
    unit = "mm" if any(row.metric == "hd95_mm" for row in evaluation.summary) else "px"
    return ("dice", f"hd95_{unit}", "nsd")


def write_evaluation(evaluation: Evaluation, directory: Path) -> Path:
    """Write `metrics.json` and `report.html`; returns the report's path.

    Raises:
        ResourceError: the directory cannot be written.
    """
    require_writable_dir(directory)
    atomic_write(directory / "metrics.json", to_json(evaluation.to_json(), indent=2) + "\n")
    metrics = list(dict.fromkeys(row.metric for row in evaluation.summary))
    means = Table(*summary_table(evaluation, metrics))
    worst = Section("Worst cases", "Lowest mean Dice first.", tables=[Table(*_case_table(evaluation))])
    text = f"{POLICIES[evaluation.rows[0].policy]} {transunet_line(evaluation)}"
    page = render_report("mslaunet evaluation", [Section("Means", text, tables=[means]), worst])
    atomic_write(directory / "report.html", page)
    return directory / "report.html"


def _case_table(evaluation: Evaluation, limit: int = 20) -> tuple[list[str], list[list[str]]]:
    cases: dict[str, list[float]] = {}
    for row in evaluation.rows:
        if row.values["dice"] == row.values["dice"]:  # NaN: absent and not predicted
            cases.setdefault(row.case_id, []).append(row.values["dice"])
    means = sorted((sum(values) / len(values), name, len(values)) for name, values in cases.items())
    return ["case", "mean Dice", "classes"], [[n, f"{m:.3f}", str(k)] for m, n, k in means[:limit]]


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
