"""The repository as the tests of this folder see it."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mslaunet", "cmcgns", "tryon_bench", "breastmri")


def git(where: Path, *arguments: str) -> str:
    """Run git and return what it prints; commits need no identity of the user."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=where, check=True, capture_output=True, text=True).stdout.strip()


def clone(target: Path) -> Path:
    """A throw-away clone of HEAD that can commit and tag."""
    git(ROOT, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(target))
    git(target, "config", "user.name", "Test")
    git(target, "config", "user.email", "test@example.invalid")
    return target


def tracked_files() -> list[Path]:
    """Every file that git tracks, links left out."""
    paths = [ROOT / name for name in git(ROOT, "ls-files", "-z").split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def project(folder: str) -> dict[str, Any]:
    """The `[project]` table of a member, such as `packages/cmcgns`."""
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
