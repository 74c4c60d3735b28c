"""Pair lists of the prepared set: the user's, or every photo with its own garment and with the next one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .._shared.errors import DataError
from .._shared.files import atomic_write
from ..data.formats.split_folders import Layout
from ..data.formats.viton import SURVEY_VITON
from ..data.formats.vitonhd import VITONHD
from ..data.pairs import find_list, read_pairs


@dataclass(frozen=True)
class Lists:
    """Rows of both settings, and where they come from.

    Attributes:
        paired: names of photo and worn garment.
        unpaired: names of photo and another garment.
        origin: setting -> the user's list, or how the rows were made.
    """

    paired: tuple[tuple[str, str], ...]
    unpaired: tuple[tuple[str, str], ...]
    origin: dict[str, str]


def make_lists(
    folder: Path, root: Path, split: str, photos: Sequence[str], garments: Sequence[str], pairs: Path | None
) -> Lists:
    """Read the user's lists or make them.

    Who wears what is told by the names, as `layout_of` says. Without an unpaired list every photo gets the garment
    that follows its own by name, the last one the first.

    Args:
        folder: where the photos' folder is.
        root: the user's folder.
        split: test or train.
        photos: names of all photos.
        garments: names of all garments.
        pairs: the unpaired list, where it is not one of the known names.

    Raises:
        DataError: a list names what is not there, or nothing can be paired at all.
    """
    layout, known = layout_of(photos, garments), set(garments)
    worn = tuple((name, layout.worn(name)) for name in photos if layout.worn(name) in known)
    paired_list = find_list((root, folder), "paired", split)
    unpaired_list = pairs or find_list((root, folder), "unpaired", split)
    origin = {"paired": f"who wears what by the names of {layout.format}"}
    if paired_list is not None:
        rows = _rows(paired_list, photos, garments)
        strangers = [row for row in rows if row[1] != layout.worn(row[0])]
        if strangers:
            raise DataError(
                f"{paired_list.name}: {strangers[0][0]} wears {strangers[0][1]}; by the names of {layout.format} it "
                f"is {layout.worn(strangers[0][0])}, rename one of them"
            )
        worn, origin["paired"] = tuple(rows), paired_list.name
    if unpaired_list is not None:
        unpaired, origin["unpaired"] = tuple(_rows(unpaired_list, photos, garments)), unpaired_list.name
    else:
        unpaired = _moved_on([layout.worn(name) for name in photos], photos, garments)
        origin["unpaired"] = "each photo with the garment after its own" if unpaired else "none: one garment only"
    if not worn and not unpaired:
        raise DataError(
            f"{folder.name}: no photo and garment to pair; give a garment the name of the photo it is on"
        )
    return Lists(worn, unpaired, origin)


def layout_of(photos: Sequence[str], garments: Sequence[str]) -> Layout:
    """VITON's names (photo `000001_0`, garment `000001_1`) make the survey's processed VITON, others VITON-HD.

    Example:
        >>> layout_of(["000001_0"], ["000001_1"]).format, layout_of(["00006_00"], ["00006_00"]).format
        ('survey-viton', 'vitonhd')
    """
    viton = all(name.endswith("_0") for name in photos) and all(name.endswith("_1") for name in garments)
    return SURVEY_VITON if viton else VITONHD


def write_lists(root: Path, split: str, lists: Lists, kept: set[tuple[str, str]]) -> dict[str, int]:
    """Write `<split>_pairs.txt` (unpaired) and `<split>_pairs_paired.txt` with the rows whose files are all there.

    Returns:
        Number of rows per setting.
    """
    rows = {
        "paired": list(lists.paired),
        "unpaired": list(lists.unpaired),
    }
    names = {"paired": f"{split}_pairs_paired.txt", "unpaired": f"{split}_pairs.txt"}
    counts = {}
    for setting, pairs in rows.items():
        whole = [(p, g) for p, g in pairs if ("photo", p) in kept and ("garment", g) in kept]
        gap = "\t" if any(letter.isspace() for pair in whole for name in pair for letter in name) else " "
        if whole:
            atomic_write(root / names[setting], "".join(f"{p}.jpg{gap}{g}.jpg\n" for p, g in whole))
        else:
            (root / names[setting]).unlink(missing_ok=True)
        counts[setting] = len(whole)
    return counts


def _rows(path: Path, photos: Sequence[str], garments: Sequence[str]) -> list[tuple[str, str]]:
    known_photos, known_garments, rows = set(photos), set(garments), []
    for row in read_pairs(path):
        person, garment = Path(row.person).stem, Path(row.garment or row.person).stem
        for name, known, what in ((person, known_photos, "photo"), (garment, known_garments, "garment")):
            if name not in known:
                raise DataError(
                    f"{path.name}, line {row.line}: no {what} {name!r}; correct the list or add the file"
                )
        rows.append((person, garment))
    return rows


def _moved_on(own: Sequence[str], photos: Sequence[str], garments: Sequence[str]) -> tuple[tuple[str, str], ...]:
    if len(garments) < 2:
        return ()
    place = {name: index for index, name in enumerate(garments)}
    return tuple(
        (photo, garments[(place.get(worn, index) + 1) % len(garments)])
        for index, (photo, worn) in enumerate(zip(photos, own, strict=True))
    )
