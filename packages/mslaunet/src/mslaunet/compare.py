"""Two evaluations of the same cases: paired differences with intervals, tests and Holm's correction."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ._shared.errors import ConfigError, DataError
from ._shared.metrics.statistics import holm, paired_permutation_test, patient_bootstrap

ALL_CLASSES = "mean over classes"
_LOWER_IS_BETTER = ("hd95", "assd", "volume_error")

Verdict = Literal["better", "worse", "no difference shown", "undefined"]
Key = tuple[str, int]  # case, label


@dataclass(frozen=True)
class Comparison:
    """One metric of one class: B minus A over the cases that both define.

    `p_holm` is corrected for all tests of the table. `dropped` cases have an undefined score on either side.
    """

    name: str
    metric: str
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float
    n: int
    n_patients: int
    dropped: int
    verdict: Verdict


def compare_runs(
    run_a: Path, run_b: Path, *, metrics: Sequence[str] = ("dice",), alpha: float = 0.05
) -> list[Comparison]:
    """Compare two evaluations of the same cases, case by case.

    Per metric and class, and for the mean over classes: the mean difference B - A, its patient-level bootstrap
    interval, and a two-sided paired permutation test; p-values are corrected over the whole table (Holm 1979).

    Args:
        run_a: directory with the `metrics.json` of `evaluate --run-dir`, or that file.
        run_b: the other one.
        metrics: names as in `metrics.json`; "hd95" and "assd" stand for whichever unit is there.
        alpha: level of the verdicts.

    Raises:
        DataError: no `metrics.json`, damaged, or not the same cases.
        ConfigError: an unknown metric, or different policies for empty masks.
    """
    (policy_a, patients, a), (policy_b, _, b) = (_read(run) for run in (run_a, run_b))
    if policy_a != policy_b:
        raise ConfigError(
            f"{run_a.name} was evaluated under the policy {policy_a!r}, {run_b.name} under {policy_b!r}; evaluate both "
            "with the same --empty"
        )
    if a.keys() != b.keys():
        raise DataError(
            f"{run_a.name} and {run_b.name} do not hold the same cases and classes: {len(a.keys() - b.keys())} scores "
            f"are only in the first, {len(b.keys() - a.keys())} only in the second; evaluate both on the same masks"
        )
    labels = {label: row["name"] for (_, label), row in a.items()}
    tests = []
    for metric in metrics:
        known = _metric_name(metric, a)
        for label, name in [*labels.items(), (None, ALL_CLASSES)]:
            tests.append(_test(name, known, *_columns(a, b, known, label, labels), patients))
    corrected = holm([test.p_value for test in tests])
    return [_judge(test, float(p), alpha) for test, p in zip(tests, corrected, strict=True)]


def is_worse(comparisons: Sequence[Comparison]) -> bool:
    """Whether B is significantly worse than A anywhere."""
    return any(row.verdict == "worse" for row in comparisons)


def comparison_table(comparisons: Sequence[Comparison]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text."""
    header = ["class", "metric", "A", "B", "B - A", "95 % interval", "p", "p (Holm)", "n", "B is"]
    rows = []
    for row in comparisons:
        n = f"{row.n}" + (f" (+ {row.dropped} undefined)" if row.dropped else "")
        means = [_text(value) for value in (row.mean_a, row.mean_b)]
        interval = "undefined" if math.isnan(row.low) else f"{row.low:+.3f} to {row.high:+.3f}"
        p_values = [_text(value) for value in (row.p_value, row.p_holm)]
        rows.append(
            [row.name, row.metric, *means, _text(row.difference, "+.3f"), interval, *p_values, n, row.verdict]
        )
    return header, rows


def to_json(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Everything as plain values."""
    return {"comparisons": [asdict(row) for row in comparisons], "worse": is_worse(comparisons)}


def _text(value: float, form: str = ".3f") -> str:
    return "undefined" if math.isnan(value) else format(value, form)


def _read(run: Path) -> tuple[str, dict[str, str], dict[Key, dict[str, Any]]]:
    """Policy, patient of each case, and rows by case and label."""
    path = run / "metrics.json" if run.is_dir() else run
    if not path.is_file():
        raise DataError(
            f"{run.name}: no metrics.json; make it with: mslaunet evaluate REFERENCES PREDICTIONS --run-dir {run.name}"
        )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = {(str(row["case_id"]), int(row["label"])): dict(row) for row in document["cases"]}
        patients = {str(row["case_id"]): str(row["patient_id"]) for row in document["cases"]}
        for row in rows.values():
            row["values"] = {k: math.nan if v is None else float(v) for k, v in row["values"].items()}
        return str(document["policy"]), patients, rows
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise DataError(f"{run.name}: metrics.json is damaged ({type(err).__name__}); evaluate again") from err


def _metric_name(metric: str, rows: Mapping[Key, Mapping[str, Any]]) -> str:
    known = next(iter(rows.values()))["values"]
    for name in (metric, f"{metric}_mm", f"{metric}_px"):
        if name in known:
            return name
    raise ConfigError(f"metric {metric!r} is unknown; choose among {', '.join(known)}")


def _columns(
    a: Mapping[Key, Mapping[str, Any]],
    b: Mapping[Key, Mapping[str, Any]],
    metric: str,
    label: int | None,
    labels: Mapping[int, str],
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Cases and their scores on either side; of all classes, the mean over those that both sides define."""
    cases = list(dict.fromkeys(case for case, _ in a))
    chosen = list(labels) if label is None else [label]
    scores = np.full((2, len(cases), len(chosen)), math.nan)
    for side, rows in enumerate((a, b)):
        for i, case in enumerate(cases):
            for j, one in enumerate(chosen):
                if (case, one) in rows:
                    value = rows[case, one]["values"].get(metric, math.nan)
                    scores[side, i, j] = abs(value) if metric.startswith("volume_error") else value
    scores[:, np.isnan(scores).any(0)] = math.nan
    count = (~np.isnan(scores)).sum(2)
    sums = np.nansum(scores, 2)
    means = np.where(count > 0, sums / np.maximum(count, 1), math.nan)
    return cases, means[0], means[1]


def _test(
    name: str, metric: str, cases: Sequence[str], a: np.ndarray, b: np.ndarray, patients: Mapping[str, str]
) -> Comparison:
    ids = [patients[case] for case in cases]
    test = paired_permutation_test(b, a, ids)
    kept = ~np.isnan(b - a)
    interval = patient_bootstrap((b - a)[kept], [one for one, keep in zip(ids, kept, strict=True) if keep])
    mean_a, mean_b = (float(values[kept].mean()) if kept.any() else math.nan for values in (a, b))
    return Comparison(
        name=name,
        metric=metric,
        mean_a=mean_a,
        mean_b=mean_b,
        difference=test.difference,
        low=interval.low,
        high=interval.high,
        p_value=test.p_value,
        p_holm=math.nan,
        n=int(kept.sum()),
        n_patients=test.n_patients,
        dropped=test.dropped,
        verdict="undefined",
    )


def _judge(test: Comparison, p_holm: float, alpha: float) -> Comparison:
    verdict: Verdict = "no difference shown"
    if math.isnan(p_holm):
        verdict = "undefined"
    elif p_holm < alpha:
        rises = test.difference > 0
        verdict = "worse" if rises == test.metric.startswith(_LOWER_IS_BETTER) else "better"
    return Comparison(**{**asdict(test), "p_holm": p_holm, "verdict": verdict})
