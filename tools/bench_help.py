"""Measure how long `--help` of every command takes and write the table docs/bench_help.md.

Usage: python tools/bench_help.py
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

GOAL_SECONDS = 0.5
REPEATS = 5
ROOT = Path(__file__).resolve().parent.parent

LIST_COMMANDS = """
import sys
from importlib import import_module
import typer

def show(command, path):
    print(*path)
    for name, child in getattr(command, "commands", {}).items():
        show(child, [*path, name])

show(typer.main.get_command(import_module(sys.argv[1]).app), [])
"""


def processor_seconds(command: list[str]) -> float:
    """Smallest processor time of some runs; unlike wall time it does not grow on a busy machine."""
    return min(_once(command) for _ in range(REPEATS))


def _once(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def rows() -> list[tuple[str, float]]:
    """Command lines of our packages with the seconds of their help."""
    ours = {path.name for path in (ROOT / "packages").iterdir()}
    found = []
    for script in sorted(entry_points(group="console_scripts"), key=lambda script: script.name):
        if script.module.partition(".")[0] in ours:
            listed = [sys.executable, "-c", LIST_COMMANDS, script.module]
            paths = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines()
            binary = str(Path(sys.executable).with_name(script.name))
            for path in paths:
                seconds = processor_seconds([binary, *path.split(), "--help"])
                found.append((f"{script.name} {path}".strip(), seconds))
    return found


def main() -> None:
    """Print the table, write it to docs/ and fail where a command misses the goal."""
    measured = rows()
    lines = [
        "# Time of `--help`",
        "",
        f"Processor seconds, the least of {REPEATS} runs; goal {GOAL_SECONDS}. Python {platform.python_version()},",
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}. Made by `make bench`.",
        "",
        "| command | seconds |",
        "|---|---|",
        *(f"| `{command}` | {seconds:.2f} |" for command, seconds in measured),
    ]
    text = "\n".join(lines) + "\n"
    (ROOT / "docs" / "bench_help.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    slow = [command for command, seconds in measured if seconds > GOAL_SECONDS]
    sys.exit(f"error: slower than {GOAL_SECONDS} s: {', '.join(slow)}" if slow else 0)


if __name__ == "__main__":
    main()
