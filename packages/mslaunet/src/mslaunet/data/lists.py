"""Text files with one name a line, as data sets bring them, and the official ones that this package ships."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from .._shared.errors import ConfigError, DataError


@dataclass(frozen=True)
class OfficialSplit:
    """Names of an official split, and what is wrong with it."""

    train: frozenset[str]
    test: frozenset[str]
    warning: str


_WARNINGS = {
    "synapse": (
        "TransUNet's split of 18 and 12 scans has no validation part: numbers published on it were often selected on "
        "the test scans"
    ),
    "clinicdb": (
        "the official list parts single frames: every sequence of its 61 test frames also occurs in training, which "
        "raised mIoU by about 12 points where it was measured; group by sequence instead"
    ),
}


def official_split(name: str) -> OfficialSplit:
    """An official split: "synapse" (case ids) or "clinicdb" (frame numbers).

    Raises:
        ConfigError: there is none of that name.

    Example:
        >>> len(official_split("synapse").train), len(official_split("clinicdb").test)
        (18, 61)
    """
    if name not in _WARNINGS:
        raise ConfigError(f"no official split {name!r}; choose one of {', '.join(_WARNINGS)}")
    folder = resources.files(__package__) / "lists"
    train = (folder / f"{name}_train.txt").read_text(encoding="utf-8").split()
    test = (folder / f"{name}_test.txt").read_text(encoding="utf-8").split()
    return OfficialSplit(frozenset(train), frozenset(test), _WARNINGS[name])


def read_names(path: Path) -> list[str]:
    """Names of a list: one a line, any line ending, blank lines dropped, in the order of the file.

    Raises:
        DataError: not text, no name, a name twice, or a name that is a path.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as err:
        raise DataError(f"{path.name}: not readable as text; expected one name a line") from err
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"{path.name}: empty; expected one name a line")
    if bad := next((n for n, name in enumerate(names, 1) if "/" in name or "\\" in name or "\0" in name), None):
        raise DataError(f"{path.name}: entry {bad} is a path; expected a plain name")
    if len(set(names)) < len(names):
        raise DataError(f"{path.name}: {len(names) - len(set(names))} names are there twice")
    return names


def find_list(root: Path, folder: str, name: str) -> Path | None:
    """A list in the places where releases keep it: in the data set's folder, or beside it."""
    places = [root, root / folder, root / "lists" / folder, root.parent / "lists" / folder]
    return next((place / name for place in places if (place / name).is_file()), None)
