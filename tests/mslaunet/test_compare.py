from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from mslaunet._shared.errors import ConfigError, DataError
from mslaunet.compare import compare_runs, is_worse
from mslaunet.evaluate import MaskPair, evaluate_pairs
from mslaunet.report import write_evaluation

CLASSES = {1: "liver", 2: "spleen"}
Run = Callable[..., Result]


def _evaluate(path: Path, errors: int, *, cases: int = 8, empty: str = "undefined") -> Path:
    """Cases whose liver misses `errors` of 20 voxels and whose spleen is perfect."""
    pairs = []
    for number in range(cases):
        reference = np.zeros((4, 10), int)
        reference[:2], reference[3, :5] = 1, 2
        predicted = reference.copy()
        predicted.reshape(-1)[: errors + number % 2] = 0
        pairs.append(MaskPair(f"case {number}", predicted, reference, (1.0, 1.0)))
    write_evaluation(evaluate_pairs(pairs, CLASSES, empty=empty), path)
    return path


def test_a_worse_run_is_called_worse_in_the_class_that_got_worse(tmp_path: Path) -> None:
    rows = compare_runs(_evaluate(tmp_path / "a", 0), _evaluate(tmp_path / "b", 6))
    verdicts = {row.name: row.verdict for row in rows}
    assert verdicts == {"liver": "worse", "spleen": "no difference shown", "mean over classes": "worse"}
    liver = rows[0]
    assert liver.difference == pytest.approx(liver.mean_b - liver.mean_a)
    assert liver.low < liver.difference < liver.high < 0
    assert liver.p_value == pytest.approx(2 / 2**8)
    assert liver.p_holm == pytest.approx(3 * 2 / 2**8)
    assert is_worse(rows)


def test_for_distances_more_is_worse(tmp_path: Path) -> None:
    a, b = _evaluate(tmp_path / "a", 0), _evaluate(tmp_path / "b", 6)
    assert {row.metric for row in compare_runs(a, b, metrics=["hd95"])} == {"hd95_mm"}
    assert compare_runs(a, b, metrics=["hd95"])[0].verdict == "worse"
    assert compare_runs(b, a, metrics=["hd95"])[0].verdict == "better"


def test_few_patients_can_show_nothing(tmp_path: Path) -> None:
    rows = compare_runs(_evaluate(tmp_path / "a", 0, cases=3), _evaluate(tmp_path / "b", 9, cases=3))
    assert rows[0].difference < -0.1
    assert rows[0].verdict == "no difference shown"


def test_different_cases_or_policies_are_refused(tmp_path: Path) -> None:
    a = _evaluate(tmp_path / "a", 0)
    with pytest.raises(DataError, match="2 scores are only in the first, 0 only in the second"):
        compare_runs(a, _evaluate(tmp_path / "b", 0, cases=7))
    with pytest.raises(ConfigError, match="policy 'undefined', c under 'worst'"):
        compare_runs(a, _evaluate(tmp_path / "c", 0, empty="worst"))
    with pytest.raises(ConfigError, match="metric 'dise' is unknown; choose among dice, iou"):
        compare_runs(a, a, metrics=["dise"])


@pytest.mark.parametrize("content", ["", "{}", '{"policy": 1, "cases": [{"case_id": "a"}]}', "[1]"])
def test_damaged_metrics_are_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(DataError, match=r"metrics.json is damaged"):
        compare_runs(tmp_path, tmp_path)


def test_the_exit_code_says_whether_b_is_worse(tmp_path: Path, run_cli: Run) -> None:
    a, b = _evaluate(tmp_path / "a", 0), _evaluate(tmp_path / "b", 6)
    assert run_cli("compare", a, a, "--quiet").exit_code == 0
    assert run_cli("compare", b, a).exit_code == 0  # better is no failure
    worse = run_cli("compare", a, b, "--metric", "dice", "--json")
    assert worse.exit_code == 1
    document = json.loads(worse.stdout)
    assert document["worse"] is True
    assert len(document["comparisons"]) == 3
    shown = run_cli("compare", a, b)
    assert "p (Holm)" in shown.stdout
    missing = run_cli("compare", a, tmp_path / "none")
    assert missing.exit_code == 3
    assert "mslaunet evaluate" in missing.stderr
