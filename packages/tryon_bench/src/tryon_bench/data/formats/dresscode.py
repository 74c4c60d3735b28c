"""DressCode: three categories of numbered files; the digit after the number says what a file is."""

from __future__ import annotations

from pathlib import Path

from ..._shared.errors import DataError
from ..labels import CATEGORIES
from ..pairs import Pair, find_list, read_pairs, require_setting
from ..roles import OPTIONAL_ROLES, Role, require_chosen, require_roles, require_scheme, role_file
from ..sample import Dataset, Sample
from .options import Options

FORMAT = "dresscode"

_ROLES = {
    "parse": Role(("label_maps",), ("{}_4",)),
    "garment_mask": Role(("cloth-mask", "garment_masks", "mask"), ("{}_1",)),
    "agnostic_mask": Role(("agnostic_masks", "agnostic-mask"), ("{}_0", "{}_0_mask")),
    "agnostic": Role(("agnostic",), ("{}_0",)),
    "densepose": Role(("dense", "image-densepose"), ("{}_5", "{}_0")),
    "keypoints": Role(("keypoints",), ("{}_2",), (".json",)),
}


def open_dresscode(root: Path, options: Options) -> Dataset:
    """Open all three categories through the root's list, or one of them where `root` is its folder.

    Where the root has no list, the categories' lists are read in turn.

    Raises:
        DataError: no category folder, no list, or a list of the other setting.
        ConfigError: an unknown role or scheme.
    """
    require_roles(options.folders, OPTIONAL_ROLES)
    top, categories = _categories(root)
    require_chosen([top / name for name in categories], options.folders)
    rows, name = _pairs(root, top, categories, options)
    samples = tuple(_sample(top, categories, row, options) for row in rows)
    require_setting(name, [sample.self_pair for sample in samples], options.setting)
    return Dataset(FORMAT, root, options.setting, samples, name)


def is_dresscode(root: Path) -> bool:
    """True where a category of DressCode is, or where `root` is one."""
    return any((root / name / "images").is_dir() for name in CATEGORIES) or (
        root.name in CATEGORIES and (root / "images").is_dir()
    )


def _categories(root: Path) -> tuple[Path, tuple[str, ...]]:
    if root.name in CATEGORIES and (root / "images").is_dir():
        return root.parent, (root.name,)
    found = tuple(name for name in CATEGORIES if (root / name / "images").is_dir())
    if not found:
        tried = ", ".join(f"{name}/images/" for name in CATEGORIES)
        raise DataError(f"{root.name}: no category of DressCode; tried {tried}")
    return root, found


def _pairs(root: Path, top: Path, categories: tuple[str, ...], options: Options) -> tuple[list[Pair], str]:
    path = options.pairs or find_list((root,), options.setting, options.split)
    if path is not None:
        return [_complete(row) for row in read_pairs(path)], path.name
    lists = [find_list((top / name,), options.setting, options.split) for name in categories]
    if None in lists:
        without = categories[lists.index(None)]
        raise DataError(
            f"{root.name}: no list of {options.setting} pairs in the root, nor in {without}/; expected "
            f"{options.split}_pairs_{options.setting}.txt, or give one with --pairs FILE"
        )
    rows = [_complete(row) for path in lists if path is not None for row in read_pairs(path)]
    return rows, f"{lists[0].name if lists[0] else ''} of {', '.join(categories)}"


def _complete(row: Pair) -> Pair:
    return row if row.garment else row._replace(garment=f"{_number(row.person)}_1{Path(row.person).suffix}")


def _sample(top: Path, categories: tuple[str, ...], row: Pair, options: Options) -> Sample:
    category = _category(top, categories, row)
    folder, number = top / category, _number(row.person)
    files = {
        name: role_file(
            folder,
            role.with_folder(options.folders.get(name)),
            _number(row.garment) if name == "garment_mask" else number,
        )
        for name, role in _ROLES.items()
    }
    return Sample(
        pair_id=f"{category}-{Path(row.person).stem}__{Path(row.garment).stem}",
        person=folder / "images" / row.person,
        garment=folder / "images" / row.garment,
        reference=folder / "images" / row.person,
        setting=options.setting,
        category=category,
        self_pair=number == _number(row.garment),
        parse_scheme=require_scheme(options.parse_scheme, "atr"),
        **files,
    )


def _category(top: Path, categories: tuple[str, ...], row: Pair) -> str:
    """The category that has the photo: the lists of the root do not say which it is."""
    for name in (row.person, row.garment):
        for category in categories:
            if (top / category / "images" / name).is_file():
                return category
    return categories[0]  # a missing file is reported by the doctor, with all others


def _number(name: str) -> str:
    return Path(name).stem.rpartition("_")[0] or Path(name).stem
