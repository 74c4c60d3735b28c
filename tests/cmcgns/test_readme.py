"""The README's claims: every "yes" of the feature table has its test or command, every signature is the real one."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
from tests.cmcgns.flags import FLAGS

ROOT = Path(__file__).parents[2]
README = (ROOT / "packages" / "cmcgns" / "README.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in README.splitlines()
    if line.startswith("| ") and line.count("|") == 12 and not line.startswith("| feature")
]
SIGNATURES = re.findall(r"^    (cmcgns\.[\w.]+)\(((?:[^()]|\([^()]*\))*)\)", README, flags=re.MULTILINE)


def exists(evidence: str) -> bool:
    """A file, a test in a file, or a command."""
    if evidence.startswith("cmcgns "):
        return evidence.removeprefix("cmcgns ") in FLAGS
    path, _, name = evidence.partition("::")
    return (ROOT / path).is_file() and (not name or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"))


def test_the_table_has_its_rows() -> None:
    assert len(ROWS) >= 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_yes_is_backed(row: list[str]) -> None:
    named = re.findall(r"`([^`]+)`", row[-1])
    if row[1] == "yes":
        assert named
    assert all(exists(evidence) for evidence in named)
    assert set(row[1:-1]) <= {"yes", "no", "part"}


@pytest.mark.parametrize(("name", "written"), SIGNATURES, ids=lambda value: value[:40])
def test_signatures_are_the_real_ones(name: str, written: str) -> None:
    module, _, attribute = name.rpartition(".")
    real = inspect.signature(getattr(import_module(module), attribute)).parameters
    names = [part.split("=")[0].strip() for part in re.sub(r"\([^()]*\)", "()", written).split(",")]
    named = [part for part in names if part not in ("*", "...")]
    assert [part for part in named if part not in real] == []
    if "..." not in written:
        public = [p for p in real if p not in ("rows", "weights")]
        assert [p for p in public if p not in named and real[p].default is inspect.Parameter.empty] == []


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`?cmcgns ([a-z]+) ", README)) - {"assets"}))
def test_every_command_of_the_readme_exists(command: str) -> None:
    assert command in FLAGS
