"""The comparison of losses: resumable, every run with its commit, and the README has the page's numbers."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "packages" / "cmcgns" / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("claims_cmcgns", ROOT / "tools" / "claims_cmcgns.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ARMS", {name: module.ARMS[name] for name in ("cmcgns", "ConVIRT")})
    monkeypatch.setattr(module, "current_commit", lambda: "abc1234")
    return module


def scored(arm: str, rate: float, seed: int, work: Path) -> dict[str, Any]:
    """A run that took no time; the second rate suits the reference, the first the other arm."""
    suits = (arm == "cmcgns") == (rate == 2e-3)
    value = 0.8 + 0.1 * suits + seed / 1000
    names = ("macro_auroc", "recall_at_10", "recall_chance", "pointing", "pointing_chance")
    return {"arm": arm, "lr": rate, "seed": seed, "cpu_s": 1.0, **dict.fromkeys(names, value)}


def test_a_comparison_that_dies_goes_on_and_makes_every_run_once(tool, tmp_path, monkeypatch) -> None:
    made: list[tuple[str, float, int]] = []

    def dies_once(arm: str, rate: float, seed: int, work: Path) -> dict[str, Any]:
        made.append((arm, rate, seed))
        if len(made) == 6:
            raise KeyboardInterrupt
        return scored(arm, rate, seed, work)

    monkeypatch.setattr(tool, "one_run", dies_once)
    with pytest.raises(KeyboardInterrupt):
        tool.run_all(tmp_path)
    done = tool.run_all(tmp_path)
    assert len(made) == len(set(made)) + 1  # the one that died
    assert len(done) == 2 * 2 + 5 * 2 == len(tool.read(tmp_path / "runs.jsonl"))
    assert {(r["arm"], r["lr"]) for r in done if r["seed"] in tool.SEEDS} == {("cmcgns", 2e-3), ("ConVIRT", 1e-3)}


def test_the_page_names_the_commit_of_the_runs(tool, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tool, "one_run", scored)
    done = tool.run_all(tmp_path)
    assert "Commit of the runs: abc1234." in tool.page(done)
    older = [{k: v for k, v in json.loads(json.dumps(run)).items() if k != "commit"} for run in done]
    assert "Commit of the runs: not recorded." in tool.page(older)
    assert "Commit of the runs: 1234567 (head when the runs began, noted by hand)." in tool.page(older, "1234567")


def test_the_readme_has_the_numbers_of_the_pages() -> None:
    """Means and differences of every arm; means and ranges of the planted seeds."""
    pages = {
        name: (ROOT / "docs" / f"{name}_cmcgns.md").read_text(encoding="utf-8") for name in ("claims", "planted")
    }
    parts = re.split(r"^## ", pages["claims"], flags=re.MULTILINE)[1:]
    found: dict[str, list[str]] = {}
    for part in parts:
        for line in part.splitlines()[4:]:
            if line.startswith("| "):
                arm, _, mean, difference = (cell.strip() for cell in line.split("|")[1:5])
                found.setdefault(arm, []).extend([mean, difference.replace("reference", "")])
    assert len(found) == 15
    for arm, cells in found.items():
        assert f"| {arm} | {' | '.join(cells)} |".replace("|  |", "|  |") in README, arm
    for part in re.split(r"^## ", pages["planted"], flags=re.MULTILINE)[1:]:
        rows = [line.split("|")[3:6] for line in part.splitlines() if re.match(r"\| \d", line)]
        means = next(line for line in part.splitlines() if line.startswith("| mean")).split("|")[3:6]
        for column, mean in enumerate(means):
            values = [float(row[column].split()[0]) for row in rows]
            assert f"{mean.strip()} ({min(values):.3f} to {max(values):.3f})" in README, part.splitlines()[0]
