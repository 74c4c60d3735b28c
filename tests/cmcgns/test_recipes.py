"""The recipes of real size start: a step of both stages at 224 px, with random image weights and a small text model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cmcgns
from cmcgns.cli import app
from cmcgns.synth.write import write_synthetic

# What this machine has not: weights of the hub, a graphics card (for fp16 and loader processes that pay).
HERE = ["model.image.pretrained=false", "model.text.backbone=minilm", "chunk=2"]
HERE += [
    f"{stage}.{item}"
    for stage in ("stage1", "stage2")
    for item in ("max_steps=1", "batch_size=4", "workers=0", "precision=bf16", "log_every=1")
]


@pytest.mark.slow
@pytest.mark.assets
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("recipe", "patches"), [("vit-b", 196), ("resnet-50", 49), ("official-like", 49)])
def test_a_recipe_of_real_size_takes_a_step_in_both_stages(tmp_path: Path, recipe: str, patches: int) -> None:
    write_synthetic("csv", tmp_path / "data", films=16, side_px=64)
    command = ["pretrain", str(tmp_path / "data"), "--run-dir", str(tmp_path / "run"), "--recipe", recipe]
    for item in HERE:
        command += ["--set", item]
    result = CliRunner().invoke(app, [*command, "--quiet", "--json"])
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert [document[stage]["steps"] for stage in ("stage1", "stage2")] == [1, 1]
    for stage, part in (("stage1", "report"), ("stage2", "reconstruction")):
        lines = (tmp_path / "run" / stage / "metrics.jsonl").read_text().splitlines()
        record = next(r for r in map(json.loads, lines) if r["split"] == "train")
        assert part in record
        assert record["loss"] > 0
    model = cmcgns.load(tmp_path / "run", device="cpu")
    assert model.config.image.side_px == 224
    grid = model.image.probe_grid()
    assert grid[0] * grid[1] == patches
