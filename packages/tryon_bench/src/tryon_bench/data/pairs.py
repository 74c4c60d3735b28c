"""Pair lists: who puts on what. The same file name means opposite things in different repositories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from .._shared.errors import DataError
from ..protocol.schema import Setting

# In order. `test_pairs.txt` is the unpaired list of nearly everybody; DAFlow's is the paired one, and it stands
# beside a `test_unpairs.txt`, which is why that name is looked for first.
LISTS: dict[Setting, tuple[str, ...]] = {
    "unpaired": ("{split}_unpairs.txt", "{split}_pairs_unpaired.txt", "{split}_pairs.txt"),
    "paired": ("{split}_pairs_same.txt", "{split}_pairs_paired.txt"),
}


class Pair(NamedTuple):
    """One line of a list: file names without folders.

    Attributes:
        person: file name of the person's photo.
        garment: file name of the shop photo; "" in one-column lists.
        line: number in the file, from 1.
    """

    person: str
    garment: str
    line: int


def read_pairs(path: Path) -> list[Pair]:
    """Read a list of one or two columns; further columns are ignored, folder prefixes (DAFlow) dropped.

    Columns are separated by tabs if the line has one, otherwise by white space.

    Raises:
        DataError: unreadable, not text, or empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as err:
        raise DataError(f"{path.name}: cannot be read ({err.strerror}); check the path") from err
    except UnicodeDecodeError as err:
        raise DataError(f"{path.name}: not UTF-8 text; expected lines of two file names") from err
    pairs = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split("\t") if "\t" in line.strip() else line.split()
        names = [PurePosixPath(field.strip().replace("\\", "/")).name for field in fields[:2]]
        if names and names[0]:
            pairs.append(Pair(names[0], names[1] if len(names) > 1 else "", number))
    if not pairs:
        raise DataError(f"{path.name}: no pairs; expected lines of two file names, person and garment")
    return pairs


def find_list(folders: Sequence[Path], setting: Setting, split: str) -> Path | None:
    """The published list of a setting, or None.

    GP-VTON's lists carry a date (`test_pairs_unpaired_1018.txt`) and are found as well. Where a `test_unpairs.txt`
    exists (DAFlow), `test_pairs.txt` is the paired list.
    """
    for folder in folders:
        for template in LISTS[setting]:
            name = template.format(split=split)
            dated = sorted(folder.glob(f"{Path(name).stem}_[0-9]*.txt"))
            for path in (folder / name, *dated):
                if path.is_file():
                    return path
        if setting == "paired" and (folder / f"{split}_unpairs.txt").is_file():
            swapped = folder / f"{split}_pairs.txt"
            if swapped.is_file():
                return swapped
    return None


def require_setting(name: str, self_pairs: Sequence[bool], setting: Setting) -> None:
    """Refuse a list whose rows contradict the setting, before it costs an evaluation.

    Raises:
        DataError: more than half of the rows are of the other setting.
    """
    worn = sum(self_pairs)
    if setting == "unpaired" and worn * 2 > len(self_pairs):
        raise DataError(
            f"{name}: {worn} of {len(self_pairs)} rows put the worn garment on; this is a paired list, as DAFlow "
            "names it; give the unpaired one with --pairs or choose --setting paired"
        )
    if setting == "paired" and worn < len(self_pairs):
        raise DataError(
            f"{name}: {len(self_pairs) - worn} of {len(self_pairs)} rows put on another garment than the worn one; "
            "the paired setting has no target for them, give the paired list with --pairs or choose --setting unpaired"
        )
