"""`cmcgns fit data.csv`: from a table to an evaluated model in one command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cmcgns.cli import app
from cmcgns.synth.write import write_synthetic


@pytest.mark.slow
def test_a_table_becomes_a_model_with_an_evaluation(tmp_path: Path) -> None:
    write_synthetic("csv", tmp_path / "table", films=60, side_px=64)
    command = [
        "fit",
        str(tmp_path / "table" / "data.csv"),
        "--run-dir",
        str(tmp_path / "run"),
        "--max-minutes",
        "0.05",
    ]
    result = CliRunner().invoke(app, [*command, "--quiet", "--json"])
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["recipe"] == "tiny"
    # ten test films; those whose report has no sentence take no part
    assert 5 <= document["evaluation"]["retrieval"]["n"] <= 10
    assert (tmp_path / "run" / "evaluation" / "report.html").is_file()


def test_too_few_pairs_are_refused(tmp_path: Path) -> None:
    write_synthetic("csv", tmp_path / "table", films=12, side_px=32)
    command = ["fit", str(tmp_path / "table" / "data.csv"), "--run-dir", str(tmp_path / "run"), "--quiet"]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, "expected at least 16 films with a text" in result.stderr) == (3, True)
