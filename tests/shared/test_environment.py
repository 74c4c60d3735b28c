"""The record of versions and source."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import socket
from pathlib import Path

import pytest

from quartet_shared import environment
from quartet_shared.environment import describe_environment


def test_versions_are_those_installed() -> None:
    found = describe_environment()
    assert found["packages"]["torch"] == importlib.metadata.version("torch")
    assert found["shared"] == importlib.metadata.version("quartet-shared")


def test_threads_and_ranks_are_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("WORLD_SIZE", "2")
    found = describe_environment()
    assert (found["threads"], found["world_size"]) == ("3", 2)


def run_git(folder: Path, *arguments: str) -> str:
    output = environment._git(folder, "-c", "user.name=t", "-c", "user.email=t@t", *arguments)
    assert output is not None
    return output


def test_the_commit_is_found_for_a_tracked_file_only(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "-q")
    source = tmp_path / "source.py"
    source.write_text("1")
    assert environment._commit(source) is None
    run_git(tmp_path, "add", "source.py")
    run_git(tmp_path, "commit", "-q", "-m", "one")
    commit = run_git(tmp_path, "rev-parse", "HEAD")
    assert environment._commit(source) == {"commit": commit, "dirty": False}
    source.write_text("2")
    assert environment._commit(source) == {"commit": commit, "dirty": True}


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment._commit(Path(__file__)) is None


def test_neither_the_host_nor_the_user_is_recorded() -> None:
    found = describe_environment()
    text = json.dumps({key: value for key, value in found.items() if key != "packages"}).split('"')
    assert socket.gethostname() not in text
    assert getpass.getuser() not in text
