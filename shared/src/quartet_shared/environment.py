"""What a run computed with: versions, commit, platform and threads; nothing about the person or the host."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from . import __version__


def describe_environment() -> dict[str, Any]:
    """Versions of Python and of every installed package, the source's commit, platform and thread settings.

    Example:
        >>> sorted(describe_environment())
        ['cpus', 'git', 'packages', 'platform', 'python', 'shared', 'threads', 'world_size']
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "world_size": int(os.environ.get("WORLD_SIZE", "1")),
        "shared": __version__,
        "git": _commit(Path(__file__).resolve()),
        "packages": dict(sorted((d.name, d.version) for d in importlib.metadata.distributions() if d.name)),
    }


def _commit(source: Path) -> dict[str, Any] | None:
    """Hash of the commit that holds this source file and whether tracked files differ; None outside a checkout."""
    if _git(source.parent, "ls-files", "--error-unmatch", source.name) is None:  # installed, perhaps inside a
        return None  # checkout of something else
    changes = _git(source.parent, "status", "--porcelain", "--untracked-files=no")
    return {"commit": _git(source.parent, "rev-parse", "HEAD"), "dirty": bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):  # no git, no checkout, or a slow network disk
        return None
    return done.stdout.strip()
