"""`cmcgns pretrain`: recipes, settings, resume, refusals in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cmcgns._shared.config import load_config
from cmcgns.cli import app
from cmcgns.config import Config
from cmcgns.recipes import recipe_path, recipes
from cmcgns.synth.write import write_synthetic

SHORT = [
    item
    for stage in ("stage1", "stage2")
    for item in (
        "--set",
        f"{stage}.max_steps=2",
        "--set",
        f"{stage}.batch_size=4",
        "--set",
        f"{stage}.log_every=1",
    )
]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "csv"
    write_synthetic("csv", folder, films=24, side_px=32, seed=0)
    return folder


def ask(*arguments: str):
    return CliRunner().invoke(app, ["pretrain", *arguments])


def test_both_stages_run_from_a_recipe_and_resume_changes_nothing(data, tmp_path) -> None:
    arguments = [str(data), "--run-dir", str(tmp_path / "run"), "--recipe", "tiny", *SHORT, "--quiet", "--json"]
    first = ask(*arguments)
    assert first.exit_code == 0, first.output
    result = json.loads(first.stdout)
    assert [result[stage]["steps"] for stage in ("stage1", "stage2")] == [2, 2]
    weights = (tmp_path / "run/stage2/checkpoints/last/model.safetensors").read_bytes()
    assert ask(*arguments, "--resume").exit_code == 0
    assert (tmp_path / "run/stage2/checkpoints/last/model.safetensors").read_bytes() == weights


def test_a_second_run_in_the_same_place_is_refused(data, tmp_path) -> None:
    arguments = [
        str(data),
        "--run-dir",
        str(tmp_path / "run"),
        "--recipe",
        "tiny",
        *SHORT,
        "--set",
        "stages=1",
        "--quiet",
    ]
    assert ask(*arguments).exit_code == 0
    again = ask(*arguments)
    assert again.exit_code == 2
    assert "holds a run already" in again.output
    changed = ask(*arguments, "--resume", "--set", "loss.hard_weight=2.0")
    assert changed.exit_code == 2
    assert "loss.hard_weight 3.0 -> 2.0" in changed.output


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--recipe", "huge"], "expected one of official-like, resnet-50, tiny, vit-b, got 'huge'"),
        (["--recipe", "tiny", "--set", "loss.false_negative=keep"], "did you mean 'loss.false_negatives'"),
        (["--recipe", "tiny", "--set", "loss.method=convirt"], "set stages=1"),
        (
            ["--recipe", "tiny", "--set", "loss.variant=official"],
            "variant official knows false_negatives keep and bml",
        ),
        (
            ["--recipe", "tiny", "--set", "loss.method=gloria", "--set", "loss.image_weight=0.5"],
            "image_weight belongs to method cmcgns, got 'gloria'",
        ),
        (
            ["--recipe", "tiny", "--set", "reconstruction.heads=7"],
            "reconstruction.heads 7 must divide model.dim 64",
        ),
        (["--recipe", "tiny", "--set", "data.side_px=128"], "data.side_px 128 must equal model.image.side_px 64"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_code_2(data, tmp_path, extra, message) -> None:
    result = ask(str(data), "--run-dir", str(tmp_path / "run"), *extra)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_recipe_and_a_file_exclude_each_other(data, tmp_path) -> None:
    (tmp_path / "mine.toml").write_text("chunk = 2\n")
    result = ask(
        str(data), "--run-dir", str(tmp_path), "--recipe", "tiny", "--config", str(tmp_path / "mine.toml")
    )
    assert result.exit_code == 2
    assert "--recipe and --config were both given" in result.output


def test_data_that_are_not_there_are_an_error_of_the_data(tmp_path) -> None:
    result = ask(str(tmp_path / "none"), "--run-dir", str(tmp_path / "run"), "--recipe", "tiny")
    assert result.exit_code == 3
    assert "none: expected a data set" in result.output


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_is_valid(name) -> None:
    config = load_config(Config, recipe_path(name))
    assert config.stage1.batch_size % (config.chunk or 1) == 0


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_keeps_the_defaults_that_it_does_not_name(name) -> None:
    config = load_config(Config, recipe_path(name))
    for stage in (config.stage1, config.stage2):
        assert stage.monitor == "recall_at_10"
        assert stage.clip_norm == (1e9 if name == "official-like" else 1.0)
        assert stage.weight_decay == (1e-6 if name == "official-like" else 0.05)


def test_one_setting_of_a_stage_leaves_its_others_as_they_are() -> None:
    changed, default = load_config(Config, sets=["stage2.epochs=3"]), Config()
    assert changed.stage2 == default.stage2.model_copy(update={"epochs": 3})
    assert changed.stage1 == default.stage1
