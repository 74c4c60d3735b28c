"""T16 and T18 of the official code: what a package must not do to the machine that imports it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mslaunet

SOURCES = [p for p in Path(mslaunet.__file__).parent.rglob("*.py") if "_shared" not in p.parts]

IMPORT_ALL = """
import json, os, pathlib, pkgutil, sys
before = dict(os.environ), list(sys.path), pathlib.WindowsPath, pathlib.PosixPath
import mslaunet
for module in pkgutil.walk_packages(mslaunet.__path__, "mslaunet."):
    if "_shared" not in module.name and not module.name.endswith("__main__"):
        __import__(module.name)
changed = {k for k in before[0].keys() | os.environ.keys() if before[0].get(k) != os.environ.get(k)}
print(json.dumps({
    "environment": sorted(k for k in changed if k.startswith(("CUDA", "OMP", "PYTHON"))),
    "path": sorted(set(sys.path) - set(before[1])),
    "pathlib": before[2:] == (pathlib.WindowsPath, pathlib.PosixPath),
}))
"""


@pytest.mark.slow
def test_importing_everything_changes_neither_environment_nor_search_path_nor_pathlib() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"environment": [], "path": [], "pathlib": True}


@pytest.mark.parametrize(
    "habit",
    [r"\.cuda\(", r"CUDA_VISIBLE_DEVICES", r"CUDA_LAUNCH_BLOCKING", r"sys\.path", r"os\.listdir", r"WindowsPath"],
)
def test_no_source_has_the_habit(habit: str) -> None:
    assert [path.name for path in SOURCES if re.search(habit, path.read_text(encoding="utf-8"))] == []
