"""Runs the command in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result


@pytest.fixture(scope="session")
def run_cli() -> Callable[..., Result]:
    """Run `tryon-bench` in this process; stdout and stderr are kept apart."""
    from tryon_bench.cli import app

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run
