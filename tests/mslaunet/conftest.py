"""A tiny trained model, made once through the command line, that prediction and evaluation tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

TINY = [
    "--set",
    "model.variant=tiny",
    "--set",
    "data.side_px=64",
    "--set",
    "train.batch_size=4",
    "--device",
    "cpu",
]


@pytest.fixture(scope="session")
def run_cli() -> Callable[..., Result]:
    """Run `mslaunet` in this process; stdout and stderr are kept apart."""
    from mslaunet.cli import app

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture(scope="session")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six synthetic CTs in nnU-Net raw layout, tilted and flipped."""
    from mslaunet.synth import write_synthetic

    root = tmp_path_factory.mktemp("volumes") / "set"
    write_synthetic("nnunet", root, cases=6, slices=4)
    return root


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six synthetic photographs with binary masks in plain folders."""
    from mslaunet.synth import write_synthetic

    root = tmp_path_factory.mktemp("images") / "set"
    write_synthetic("folders", root, cases=6)
    return root


@pytest.fixture(scope="session")
def volume_model(tmp_path_factory: pytest.TempPathFactory, volumes: Path, run_cli: Callable[..., Result]) -> Path:
    """Run directory of a model that saw the synthetic CTs for three steps."""
    return _train(tmp_path_factory.mktemp("volume_model") / "run", volumes, run_cli)


@pytest.fixture(scope="session")
def image_model(tmp_path_factory: pytest.TempPathFactory, images: Path, run_cli: Callable[..., Result]) -> Path:
    """Run directory of a model that saw the synthetic photographs for three steps."""
    return _train(tmp_path_factory.mktemp("image_model") / "run", images, run_cli)


def _train(run_dir: Path, data: Path, run_cli: Callable[..., Result]) -> Path:
    result = run_cli("train", data, "--run-dir", run_dir, "--set", "train.max_steps=3", "--quiet", *TINY)
    assert result.exit_code == 0, result.stderr
    return run_dir
