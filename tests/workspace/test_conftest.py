"""What tests/conftest.py does about skipped tests, seen from outside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.workspace.repository import ROOT

pytestmark = pytest.mark.slow  # every run imports torch
SKIPPED = "import pytest\n\ndef test_it():\n    pytest.skip('no data')\n"
CASES = {
    "body": SKIPPED,
    "mark": "import pytest\n\n@pytest.mark.skip(reason='no data')\ndef test_it():\n    pass\n",
    "module": "import pytest\n\npytest.skip('no data', allow_module_level=True)\n",
}
EXCUSED = {
    "gpu": SKIPPED.replace("def", "@pytest.mark.gpu\ndef"),
    "xfail": "import pytest\n\n@pytest.mark.xfail\ndef test_it():\n    assert False\n",
}


def outcome(folder: Path, test: str, ci: str) -> subprocess.CompletedProcess[str]:
    """Run a test beside a copy of conftest.py, and one that passes."""
    shutil.copy(ROOT / "tests/conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = gpu\n")
    (folder / "test_other.py").write_text("def test_other():\n    pass\n")
    (folder / "test_skipped.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("case", CASES)
def test_a_skip_fails_the_run_in_ci_and_says_why(tmp_path: Path, case: str) -> None:
    result = outcome(tmp_path, CASES[case], ci="true")
    assert result.returncode != 0
    assert "not to be skipped in CI: " in result.stdout
    assert "no data" in result.stdout


@pytest.mark.parametrize("case", EXCUSED)
def test_a_missing_card_and_an_expected_failure_are_excused_in_ci(tmp_path: Path, case: str) -> None:
    result = outcome(tmp_path, EXCUSED[case], ci="true")
    assert result.returncode == 0, result.stdout


def test_a_skip_elsewhere_is_a_skip(tmp_path: Path) -> None:
    result = outcome(tmp_path, SKIPPED, ci="")
    assert result.returncode == 0, result.stdout
    assert "1 passed, 1 skipped" in result.stdout
