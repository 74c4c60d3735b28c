from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from mslaunet._shared.config import load_config
from mslaunet._shared.errors import ConfigError
from mslaunet.config import Config


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["data.window_low=300"], "window_low 300.0 must be below window_high 275.0"),
        (["data.window_low=275"], "must be below"),
        (["loss.dice=0", "loss.cross_entropy=0"], "both 0"),
        (['data.classes={0="background", 7="polyp"}'], r"without gaps, got \[0, 7\]"),
        (['data.classes={0="background"}'], r"without gaps, got \[0\]"),
        (["data.classes={}"], r"without gaps, got \[\]"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(sets: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(Config, None, sets, {"data.root": "set"})


def test_classes_may_be_named_on_the_command_line() -> None:
    config = load_config(Config, None, ['data.classes={0="background", 1="polyp"}'], {"data.root": "set"})
    assert config.data.classes == {0: "background", 1: "polyp"}


def test_an_absent_device_is_found_before_the_run_directory_is_made(
    volumes: Path, tmp_path: Path, run_cli: Callable[..., Result]
) -> None:
    result = run_cli("train", volumes, "--run-dir", tmp_path / "run", "--device", "cuda:99")
    assert result.exit_code == 5
    assert not (tmp_path / "run").exists()
