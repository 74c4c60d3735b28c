"""What every command of every package has in common: quick help, the same flags."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

import pytest
import typer
from tests.workspace.repository import PACKAGES

HEAVY = ["torch", "monai", "transformers", "diffusers"]

ASK_EVERY_HELP = """
import json, sys
from importlib import import_module
from importlib.metadata import version
import typer
from typer.testing import CliRunner

app = import_module(sys.argv[1] + ".cli").app
def commands(command, path):
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, [*path, name])
asked = list(commands(typer.main.get_command(app), []))
codes = [CliRunner().invoke(app, [*path, "--help"]).exit_code for path in asked]
print(json.dumps({"asked": len(asked), "codes": codes, "loaded": [m for m in sys.argv[2:] if m in sys.modules]}))
"""


@pytest.mark.parametrize("name", PACKAGES)
def test_help_of_every_command_imports_no_framework(name: str) -> None:
    command = [sys.executable, "-c", ASK_EVERY_HELP, name, *HEAVY]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert answer["codes"] == [0] * answer["asked"]
    assert answer["loaded"] == []


# `tests/<package>/flags.py` lists every flag of every command but `--help`, so that a new one, or one less, is a
# decision and not an accident.
FLAGS = {name: import_module(f"tests.{name}.flags").FLAGS for name in PACKAGES}


def flags(command: Any, path: str = "") -> dict[str, set[str]]:
    """Long options of every command below `command`, by its path."""
    children = getattr(command, "commands", None)
    if children is None:
        return {path: {flag for option in command.params for flag in option.opts if flag.startswith("--")}}
    found: dict[str, set[str]] = {}
    for name, child in children.items():
        found |= flags(child, f"{path} {name}".strip())
    return found


@pytest.mark.parametrize("name", PACKAGES)
def test_flags_are_exactly_those_listed_here(name: str) -> None:
    assert flags(typer.main.get_command(import_module(f"{name}.cli").app)) == FLAGS[name]


@pytest.mark.parametrize("name", [name for name in PACKAGES if "" not in FLAGS[name]])
def test_every_command_answers_in_json_and_can_show_the_trace(name: str) -> None:
    found = flags(typer.main.get_command(import_module(f"{name}.cli").app))
    assert {command for command, options in found.items() if not options >= {"--json", "--debug"}} == set()


@pytest.mark.parametrize("name", PACKAGES)
def test_version_is_that_of_the_distribution(name: str) -> None:
    dist = name.replace("_", "-")
    result = subprocess.run([sys.executable, "-m", name, "--version"], capture_output=True, text=True)
    assert result.stdout == f"{dist} {version(dist)}\n"
