"""Release one package: bump its version, close its changelog section, commit, tag `<package>-v<version>`.

Nothing else moves: shared is linked into each package, so a release of one neither needs nor forces another.
Nothing is pushed or uploaded.

Usage: python tools/release.py PACKAGE major|minor|patch   (tryon-bench and tryon_bench are the same package)
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNRELEASED = "## [Unreleased]\n"


def git(*arguments: str) -> str:
    """Run git in the repository and return what it prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def bumped(version: str, part: str) -> str:
    """Return the next version.

    >>> bumped("0.1.3", "minor")
    '0.2.0'
    """
    numbers = [int(number) for number in version.split(".")]
    place = ["major", "minor", "patch"].index(part)
    return ".".join(str(number) for number in [*numbers[:place], numbers[place] + 1, *[0] * (2 - place)])


def closed_changelog(text: str, version: str, date: str) -> str:
    """Move what stands under Unreleased to a section of its own; an empty one is refused."""
    head, heading, rest = text.partition(UNRELEASED)
    section = rest.partition("\n## ")[0]
    if not heading or not re.search(r"^- ", section, flags=re.MULTILINE):
        raise SystemExit("error: nothing under [Unreleased] in the changelog; write what changed first")
    return f"{head}{UNRELEASED}\n## [{version}] - {date}\n{rest}"


def replaced(path: Path, old: str, new: str) -> str:
    """Return the text of a file after replacing what must occur in it exactly once."""
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise SystemExit(f"error: expected {old!r} once in {path.name}, found {text.count(old)} times")
    return text.replace(old, new)


def release(folder: Path, part: str) -> str:
    """Edit, commit and tag; return the tag. Everything is checked before the first file is touched."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, old = project["name"], project["version"]
    new = bumped(old, part)
    tag = f"{name}-v{new}"
    if git("status", "--porcelain"):
        raise SystemExit("error: uncommitted changes; commit or stash them first")
    if git("tag", "--list", tag):
        raise SystemExit(f"error: tag {tag} exists; choose another part to bump")
    pyproject, lock, changelog = folder / "pyproject.toml", ROOT / "uv.lock", folder / "CHANGELOG.md"
    entry = f'[[package]]\nname = "{name}"\nversion = '
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    texts = {
        pyproject: replaced(pyproject, f'\nversion = "{old}"\n', f'\nversion = "{new}"\n'),
        lock: replaced(lock, f'{entry}"{old}"\n', f'{entry}"{new}"\n'),
        changelog: closed_changelog(changelog.read_text(encoding="utf-8"), new, today),
    }
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    git("commit", "--quiet", "--all", "--message", f"Release {name} {new}")
    git("tag", "--annotate", tag, "--message", f"{name} {new}")
    return tag


def folder_name(package: str) -> str:
    """Name of the folder of a package, which may be given as the distribution is called.

    >>> folder_name("tryon-bench")
    'tryon_bench'
    """
    if package in ("shared", "quartet-shared", "quartet_shared"):
        raise SystemExit("error: quartet-shared is never published; release the packages that link it")
    return package.replace("-", "_")


def main() -> None:
    """Parse the command line and release."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = sorted(path.name for path in (ROOT / "packages").iterdir())
    parser.add_argument("package", type=folder_name, choices=names)
    parser.add_argument("part", choices=["major", "minor", "patch"])
    arguments = parser.parse_args()
    tag = release(ROOT / "packages" / arguments.package, arguments.part)
    sys.stdout.write(f"{tag}: look at it with `git show {tag}`, then push the branch and the tag\n")


if __name__ == "__main__":
    main()
