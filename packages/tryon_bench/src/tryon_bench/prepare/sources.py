"""What is in the user's folder: photos, garments, and the files that belong to each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .._shared.errors import DataError
from ..data.formats.vitonhd import ROLES
from ..data.roles import IMAGE_SUFFIXES, Role, require_chosen, require_folder, require_roles, role_file

PHOTOS = ("image", "images", "person", "persons")
GARMENTS = ("cloth", "clothes", "garment", "garments")
# taken for photos and garments, so that they are named as what cannot be read instead of being passed over
_OTHER_PICTURES = (".jfif", ".gif", ".heic", ".heif", ".avif", ".jp2", ".jxl")
PHOTO_ROLES = {
    "parse": Role((*ROLES["parse"].folders, "parse", "parses")),
    "keypoints": Role((*ROLES["keypoints"].folders, "keypoints", "pose"), ("{}_keypoints", "{}"), (".json",)),
    "densepose": Role((*ROLES["densepose"].folders, "dense")),
    "person_mask": Role(("person-mask", "person_mask")),
}
GARMENT_ROLES = {"garment_mask": ROLES["garment_mask"]}


@dataclass(frozen=True)
class Item:
    """A photo or a garment.

    Attributes:
        kind: photo or garment.
        stem: its name, also in the results.
        files: role -> file; `image` is the picture itself.
        tried: role -> folders that were looked into, for messages about what is missing.
    """

    kind: str
    stem: str
    files: Mapping[str, Path]
    tried: Mapping[str, str]


def find_items(root: Path, split: str, folders: Mapping[str, str]) -> tuple[list[Item], list[Item], Path]:
    """Photos and garments by name, and the folder in which they are: `root/<split>` if there is one, else `root`.

    Raises:
        DataError: no such folder, nothing in it, two files of one name, or a name that a list of pairs cannot hold.
        ConfigError: a folder for an unknown role.
    """
    require_roles(folders, ("person", "garment", *PHOTO_ROLES, *GARMENT_ROLES))
    if not root.is_dir():
        raise DataError(f"{root.name}: no such folder; expected photos in image/ and garments in cloth/")
    folder = root / split if (root / split).is_dir() else root
    require_chosen((folder,), folders)
    photos = _items(folder, "photo", "person", PHOTOS, PHOTO_ROLES, folders)
    garments = _items(folder, "garment", "garment", GARMENTS, GARMENT_ROLES, folders)
    return photos, garments, folder


def _items(
    folder: Path,
    kind: str,
    role: str,
    names: tuple[str, ...],
    roles: Mapping[str, Role],
    chosen: Mapping[str, str],
) -> list[Item]:
    pictures = require_folder(folder, (chosen[role],) if role in chosen else names, f"{kind}s")
    files = sorted(
        path
        for path in pictures.iterdir()
        if path.suffix.lower() in (*IMAGE_SUFFIXES, *_OTHER_PICTURES) and not path.name.startswith(".")
    )
    if not files:
        raise DataError(f"{pictures.name}/: no images; expected {kind}s as {', '.join(IMAGE_SUFFIXES)}")
    found: dict[str, Path] = {}
    for file in files:
        if not _listable(file.stem):
            raise DataError(
                f"{pictures.name}/: {file.name!r} cannot stand in a list of pairs; rename it, without tabs, line "
                "breaks, backslashes and leading spaces"
            )
        if file.stem in found:
            raise DataError(f"{pictures.name}/: {found[file.stem].name} and {file.name} have one name; keep one")
        found[file.stem] = file
    searched = {name: item.with_folder(chosen.get(name)) for name, item in roles.items()}
    tried = {name: ", ".join(f"{f}/" for f in item.folders) for name, item in searched.items()}
    return [
        Item(kind, stem, {"image": file, **_present(folder, searched, stem)}, tried)
        for stem, file in found.items()
    ]


def _listable(stem: str) -> bool:
    """Whether `read_pairs` gives the name back."""
    return stem == stem.lstrip() and len(stem.splitlines()) == 1 and not set(stem) & {"\t", "\\"}


def _present(folder: Path, roles: Mapping[str, Role], stem: str) -> dict[str, Path]:
    files = {name: role_file(folder, role, stem) for name, role in roles.items()}
    return {name: path for name, path in files.items() if path is not None}
