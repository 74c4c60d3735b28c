"""The skeleton's command: one honest line, whatever is asked."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("arguments", [[], ["train", "--epochs", "3"]], ids=["bare", "train"])
def test_says_in_one_line_that_it_is_not_built_and_fails(arguments: list[str]) -> None:
    result = subprocess.run([sys.executable, "-m", "cmcgns", *arguments], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "cmcgns is not built yet: version 0.2.0 brings it\n"
