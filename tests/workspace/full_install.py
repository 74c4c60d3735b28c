"""`make isolation`: mslaunet by plain pip into an empty environment, everything downloaded. Not part of test-all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workspace.environments import LOOK, PREDICT, run, sums
from tests.workspace.repository import clone


@pytest.mark.timeout(1800)
def test_plain_pip_installs_mslaunet_with_the_shared_code_of_this_checkout(tmp_path: Path) -> None:
    checkout = clone(tmp_path / "quartet")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "empty")], check=True)
    python = tmp_path / "empty/bin/python"
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "./packages/mslaunet"], cwd=checkout, check=True
    )
    look = json.loads(run(python, "-I", "-c", LOOK, "mslaunet"))
    assert look["shared"] == sums(checkout / "shared/src/quartet_shared")
    assert look["alone"]
    names = {entry["name"] for entry in json.loads(run(python, "-m", "pip", "list", "--format", "json"))}
    assert not names & {"shared", "quartet-shared", "quartet_shared"}
    assert run(python, "-m", "pip", "check") == "No broken requirements found.\n"
    assert "Usage" in run(python, str(python.with_name("mslaunet")), "--help")
    assert run(python, "-I", "-c", PREDICT) == "(1, 3, 72, 56)\n"
