"""uv.lock names no index, hashes every artefact and is what a fresh resolution gives."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.workspace.repository import PACKAGES, ROOT
from tools.neutral_lock import PLACEHOLDER, neutralise

LOCK = (ROOT / "uv.lock").read_text(encoding="utf-8")


def packages(text: str) -> list[dict[str, Any]]:
    return list(tomllib.loads(text)["package"])


def versions(text: str) -> set[tuple[str, str]]:
    return {(package["name"], package["version"]) for package in packages(text)}


def test_the_lock_holds_no_address_but_the_placeholder() -> None:
    assert set(re.findall(r"\w+://[^\"\s]*", LOCK)) == {PLACEHOLDER}


def test_every_artefact_has_a_hash_and_every_package_a_wheel() -> None:
    third_party = [package for package in packages(LOCK) if "registry" in package["source"]]
    assert len(third_party) > 50
    for package in third_party:
        assert package["source"] == {"registry": PLACEHOLDER}
        assert package["wheels"], package["name"]
        for artefact in [*package["wheels"], *([package["sdist"]] if "sdist" in package else [])]:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", artefact["hash"]), package["name"]
            assert "url" not in artefact


def test_the_members_are_ours_and_nothing_called_shared_comes_from_a_registry() -> None:
    local = {package["name"] for package in packages(LOCK) if "registry" not in package["source"]}
    assert local == {"quartet", "quartet-shared", *(name.replace("_", "-") for name in PACKAGES)}
    assert "shared" not in {package["name"] for package in packages(LOCK)}


def test_neutralising_twice_changes_nothing() -> None:
    assert neutralise(LOCK) == LOCK


def test_resolving_a_copy_again_gives_the_same_versions(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "uv.lock", "shared", "packages"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    result = subprocess.run(
        [sys.executable, "-m", "uv", "lock"], cwd=tmp_path, env=with_index(), capture_output=True, text=True
    )
    if result.returncode and "failed to fetch" in result.stderr.lower():
        pytest.skip("no package index can be reached")
    assert result.returncode == 0, result.stderr
    again = neutralise((tmp_path / "uv.lock").read_text(encoding="utf-8"))
    assert versions(again) == versions(LOCK)


def with_index() -> dict[str, str]:
    """The environment with pip's index for uv, which does not read pip's configuration."""
    if "UV_DEFAULT_INDEX" in os.environ:
        return dict(os.environ)
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    index = (
        os.environ.get("PIP_INDEX_URL") or subprocess.run(command, capture_output=True, text=True).stdout.strip()
    )
    return {**os.environ, **({"UV_DEFAULT_INDEX": index} if index else {})}
