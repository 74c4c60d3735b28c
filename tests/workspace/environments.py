"""Environments in which a package is alone with its third-party libraries, and what must hold there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.workspace.repository import PACKAGES

MEMBERS = [name.replace("_", "-") for name in (*PACKAGES, "quartet_shared")]

# Runs in the environment; prints what a forgotten link to this repository would betray.
LOOK = """
import hashlib, importlib, importlib.util, json, sys
from pathlib import Path
package = importlib.import_module(sys.argv[1])
shared = importlib.import_module(sys.argv[1] + "._shared")
root = Path(shared.__file__).parent
files = sorted(p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
sums = {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
alone = importlib.util.find_spec("quartet_shared") is None
print(json.dumps({"package": package.__file__, "shared": sums, "alone": alone}))
"""

# A random tiny network on one image: the wheel computes, with all that it imports to do so.
PREDICT = """
import torch, mslaunet
from mslaunet.model import VARIANTS
model = mslaunet.MSLAUNet(num_classes=3, in_channels=1, **VARIANTS["tiny"]).eval()
with torch.inference_mode():
    print(tuple(model(torch.zeros(1, 1, 72, 56)).shape))
"""


def make_environment(folder: Path) -> Path:
    """An environment with the third-party packages of this one, hard-linked, and none of ours.

    Returns:
        Its interpreter.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    [target] = folder.glob("lib/python*/site-packages")
    [source] = Path(sys.prefix).glob("lib/python*/site-packages")
    ours = tuple(name.replace("-", "_") for name in MEMBERS)
    entries = [e for e in source.iterdir() if not e.name.lower().removeprefix("_editable_impl_").startswith(ours)]
    subprocess.run(
        ["cp", "--archive", "--link", "--target-directory", str(target), *map(str, entries)], check=True
    )
    return folder / "bin/python"


def pip(python: Path, *arguments: str) -> None:
    """Run pip without any index: whatever is not here already must not be needed."""
    command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_NO_INPUT": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=python.parent)
    assert result.returncode == 0, result.stderr


def run(python: Path, *arguments: str) -> str:
    """Run the environment's interpreter away from any checkout and return what it prints."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [str(python), *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=python.parent)
    assert result.returncode == 0, result.stderr
    return result.stdout


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of the shared code in a checkout, by its path."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
