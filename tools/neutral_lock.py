"""Rewrite uv.lock so that it names no package index.

uv records the full download address of every artefact of the index it resolved against; a lock made behind
one mirror is then useless, or a leak, behind another. File names and hashes are enough: `uv export --frozen`
still prints a fully hashed requirements list, which installs from whatever index the user has configured.

Usage: python tools/neutral_lock.py [uv.lock]
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PLACEHOLDER = "https://index.invalid/simple"


def neutralise(lock_text: str) -> str:
    """Return the text of a uv.lock with wheel addresses reduced to file names and all others removed."""
    text = re.sub(r'(source = \{ registry = )"[^"]*"', rf'\1"{PLACEHOLDER}"', lock_text)
    text = re.sub(r'^(    \{ )url = "[^"]*/([^"/]+)"', r'\1filename = "\2"', text, flags=re.MULTILINE)
    text = re.sub(r'^(sdist = \{ )url = "[^"]*", ', r"\1", text, flags=re.MULTILINE)
    # These tables repeat the members' pyproject files and make `uv sync` reject the placeholder index.
    tables = r"\[package\.metadata(?:\.[\w-]+)?\]\n(?:(?!\[).+\n|\s*\n(?=\[package\.metadata))*"
    return re.sub(rf"^{tables}", "", text, flags=re.MULTILINE)


def main() -> None:
    """Rewrite the lock file named on the command line (default: uv.lock here)."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "uv.lock")
    path.write_text(neutralise(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
