"""Every test and command that the documents name as evidence exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.mslaunet.flags import FLAGS

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "packages" / "mslaunet" / name for name in ("README.md", "PARITY.md")]
_TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
_COMMAND = re.compile(r"`(mslaunet [^`]+)`")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_named_test_exists(document: Path) -> None:
    named = _TEST.findall(_text(document))
    assert named
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / "tests" / file).is_file() or f"def {name}(" not in _text(ROOT / "tests" / file)
    ]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_named_command_exists_with_its_flags(document: Path) -> None:
    wrong = []
    for command in _COMMAND.findall(_text(document)):
        words = command.split()[1:]
        names = [name for name in FLAGS if words[: len(name.split())] == name.split()]
        flags = {word.partition("=")[0] for word in words if word.startswith("--")}
        general = {"--help", "--version"}
        if (not names and not flags <= general) or any(not flags <= FLAGS[name] | general for name in names):
            wrong.append(command)
    assert wrong == []


def test_every_defect_of_the_pipeline_has_its_row() -> None:
    rows = re.findall(r"^\| (T\d+) \|", _text(DOCUMENTS[1]), flags=re.MULTILINE)
    assert rows == [f"T{number}" for number in range(1, 19)]


def test_every_defect_of_the_model_has_its_row() -> None:
    rows = re.findall(r"^\| (M\d+) \|", _text(DOCUMENTS[1]), flags=re.MULTILINE)
    assert rows == [f"M{number}" for number in range(1, 15)]
