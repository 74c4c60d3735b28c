"""tools/release.py in a throw-away clone: one package moves, everything else stays."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.workspace.repository import clone, git


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of HEAD with an entry to release."""
    target = clone(tmp_path / "clone")
    changelog = target / "packages/cmcgns/CHANGELOG.md"
    changelog.write_text("# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something new.\n")
    git(target, "add", "--all")
    git(target, "commit", "--quiet", "--message", "Something to release")
    return target


def release(checkout: Path, package: str, part: str = "minor") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/release.py", package, part]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def versions(checkout: Path) -> dict[str, str]:
    """Versions of the members as the lock states them, by name."""
    lock = tomllib.loads((checkout / "uv.lock").read_text())
    return {p["name"]: p["version"] for p in lock["package"] if "editable" in p["source"]}


def test_release_bumps_one_package_its_lock_entry_and_its_changelog_and_tags(checkout: Path) -> None:
    before = versions(checkout)
    result = release(checkout, "cmcgns")
    assert result.returncode == 0, result.stderr
    assert git(checkout, "tag", "--points-at", "HEAD") == "cmcgns-v0.2.0"
    assert versions(checkout) == {**before, "cmcgns": "0.2.0"}
    assert (
        tomllib.loads((checkout / "packages/cmcgns/pyproject.toml").read_text())["project"]["version"] == "0.2.0"
    )
    changed = git(checkout, "show", "--format=", "--name-only", "HEAD").split()
    assert changed == ["packages/cmcgns/CHANGELOG.md", "packages/cmcgns/pyproject.toml", "uv.lock"]
    assert git(checkout, "status", "--porcelain") == ""


def test_release_moves_the_unreleased_section_under_the_new_version(checkout: Path) -> None:
    assert release(checkout, "cmcgns").returncode == 0
    lines = (checkout / "packages/cmcgns/CHANGELOG.md").read_text().splitlines()
    headings = [line.split(" - ")[0] for line in lines if line.startswith("## ")]
    assert headings == ["## [Unreleased]", "## [0.2.0]"]
    assert lines.index("- Something new.") > lines.index("## [Unreleased]") + 2


def test_release_refuses_uncommitted_changes(checkout: Path) -> None:
    (checkout / "README.md").write_text("changed")
    result = release(checkout, "cmcgns")
    assert (result.returncode, result.stderr) == (1, "error: uncommitted changes; commit or stash them first\n")


def test_a_second_release_finds_nothing_unreleased_and_touches_nothing(checkout: Path) -> None:
    assert release(checkout, "cmcgns").returncode == 0
    head = git(checkout, "rev-parse", "HEAD")
    result = release(checkout, "cmcgns")
    assert result.returncode == 1
    assert "nothing under [Unreleased]" in result.stderr
    assert git(checkout, "rev-parse", "HEAD") == head
    assert git(checkout, "status", "--porcelain") == ""


def test_release_refuses_a_tag_that_exists(checkout: Path) -> None:
    git(checkout, "tag", "cmcgns-v0.2.0")
    result = release(checkout, "cmcgns")
    assert result.returncode == 1
    assert "tag cmcgns-v0.2.0 exists" in result.stderr
    assert git(checkout, "status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["tryon_bench", "tryon-bench"])
def test_the_tag_of_tryon_bench_carries_the_name_of_the_distribution(checkout: Path, name: str) -> None:
    result = release(checkout, name, "patch")
    assert result.returncode == 0, result.stderr
    assert git(checkout, "tag", "--points-at", "HEAD") == "tryon-bench-v0.1.1"


@pytest.mark.parametrize("name", ["shared", "quartet-shared"])
def test_release_refuses_the_shared_floor(checkout: Path, name: str) -> None:
    result = release(checkout, name)
    expected = "error: quartet-shared is never published; release the packages that link it\n"
    assert (result.returncode, result.stderr) == (1, expected)
