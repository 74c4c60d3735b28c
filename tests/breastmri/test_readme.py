"""What the README claims exists: every yes of the feature table names a test or a command, every command is real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from breastmri.cli import app

HERE = Path(__file__).parent
README = (HERE.parents[1] / "packages" / "breastmri" / "README.md").read_text(encoding="utf-8")
COMMANDS = set(typer.main.get_command(app).commands)
CLAIMS = [line for line in README.splitlines() if re.match(r"^\|[^|]+\|( [Yp-] \|)+", line)]


def test_the_table_was_found() -> None:
    assert len(CLAIMS) >= 24


@pytest.mark.parametrize("line", CLAIMS, ids=[line.split("|")[1].strip() for line in CLAIMS])
def test_every_yes_of_ours_is_backed(line: str) -> None:
    *_, ours, _ = (cell.strip() for cell in line.split("|"))
    if ours == "-":
        return
    match = re.fullmatch(r"Y `(?:breastmri (?P<command>\w+)|(?P<file>[\w/]+\.py)::(?P<test>\w+))`", ours)
    assert match, ours
    if match["command"]:
        assert match["command"] in COMMANDS
    else:
        assert f"def {match['test']}(" in (HERE / match["file"]).read_text(encoding="utf-8")


def test_every_command_that_is_named_exists() -> None:
    named = set(re.findall(r"(?:^|`)breastmri ([a-z]+)", README, re.MULTILINE)) | set(
        re.findall(r"`([a-z]+)`, `compare`", README)
    )
    assert named - COMMANDS <= set()


def test_every_command_is_named() -> None:
    assert COMMANDS - set(re.findall(r"[a-z]+", README)) == set()
