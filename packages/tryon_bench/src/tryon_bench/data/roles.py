"""Roles of files (parse, mask, pose ...) and the folders in which repositories keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from .._shared.errors import ConfigError, DataError
from .labels import Scheme

IMAGE_SUFFIXES = (".jpg", ".png", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
OPTIONAL_ROLES = ("parse", "garment_mask", "agnostic_mask", "agnostic", "densepose", "keypoints")


@dataclass(frozen=True)
class Role:
    """Where a layout keeps the files of one role.

    Attributes:
        folders: names in order of preference.
        stems: file names without suffix; `{}` is the stem of the person's photo (or of the garment's).
        suffixes: in order of preference.
    """

    folders: tuple[str, ...]
    stems: tuple[str, ...] = ("{}",)
    suffixes: tuple[str, ...] = (".png", *IMAGE_SUFFIXES)

    def with_folder(self, folder: str | None) -> Role:
        """The same role in a folder that the user names."""
        return self if folder is None else Role((folder,), self.stems, self.suffixes)


def require_folder(root: Path, folders: Sequence[str], what: str) -> Path:
    """The first of several folders that exists.

    Raises:
        DataError: none does; the message lists what was tried.
    """
    for name in folders:
        if (root / name).is_dir():
            return root / name
    tried = ", ".join(f"{name}/" for name in folders)
    raise DataError(f"{root.name}: no folder of {what}; tried {tried}; name it with --folder")


def role_file(root: Path, role: Role, stem: str) -> Path | None:
    """The file of a role for one photo, or None where no folder has it; suffixes count in capitals too."""
    for folder in role.folders:
        if not (root / folder).is_dir():
            continue
        for template in role.stems:
            for suffix in (name for known in role.suffixes for name in (known, known.upper())):
                path = root / folder / f"{template.format(stem)}{suffix}"
                if path.is_file():
                    return path
    return None


def require_chosen(roots: Sequence[Path], folders: Mapping[str, str]) -> None:
    """Refuse a folder that a user names for a role and that no root has: its files would count as missing.

    Raises:
        DataError: no such folder.
    """
    for role, name in folders.items():
        if not any((root / name).is_dir() for root in roots):
            places = ", ".join(f"{root.name}/" for root in roots)
            raise DataError(f"--folder {role}={name}: no such folder in {places}; correct the name")


def require_scheme(name: str | None, default: Scheme) -> Scheme:
    """The label scheme that a user names, or the layout's.

    Raises:
        ConfigError: no such scheme.
    """
    for scheme in get_args(Scheme):
        if scheme == (name or default):
            return scheme
    raise ConfigError(f"label scheme {name!r} is unknown; choose one of {', '.join(get_args(Scheme))}")


def require_roles(folders: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuse a folder for a role that the layout does not have.

    Raises:
        ConfigError: unknown role.
    """
    for role in folders:
        if role not in known:
            raise ConfigError(f"--folder {role}=...: unknown role; choose one of {', '.join(known)}")
