"""The command as a user starts it."""

from __future__ import annotations

import subprocess
import sys


def test_asked_nothing_it_shows_its_commands() -> None:
    result = subprocess.run([sys.executable, "-m", "tryon_bench"], capture_output=True, text=True)
    assert "register" in result.stdout + result.stderr
