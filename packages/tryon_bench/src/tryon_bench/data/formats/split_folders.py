"""Layouts with `train/` and `test/` folders that hold one folder per role: VITON, VITON-HD and what follows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..._shared.errors import DataError
from ..labels import Scheme
from ..pairs import Pair, find_list, read_pairs, require_setting
from ..roles import OPTIONAL_ROLES, Role, require_chosen, require_folder, require_roles, require_scheme, role_file
from ..sample import Dataset, Sample
from .options import Options


@dataclass(frozen=True)
class Layout:
    """One such layout.

    Attributes:
        format: its name.
        person: folder names of the photos.
        garment: folder names of the shop photos.
        roles: the optional roles.
        scheme: label ids of its parses.
        worn: stem of a person's photo -> stem of the garment that it shows.
    """

    format: str
    person: tuple[str, ...]
    garment: tuple[str, ...]
    roles: Mapping[str, Role]
    scheme: Scheme
    worn: Callable[[str], str]

    def open(self, root: Path, options: Options) -> Dataset:
        """Read the list of the setting and find the files of every row.

        Raises:
            DataError: a folder or list is missing, or the list is of the other setting.
            ConfigError: an unknown role or scheme.
        """
        require_roles(options.folders, ("person", "garment", *OPTIONAL_ROLES))
        folder = _split_folder(root, options.split)
        finder = _Finder(self, folder, options)
        rows, name = self._pairs(root, folder, finder.garments, options)
        samples = tuple(finder.sample(row) for row in rows)
        require_setting(name, [sample.self_pair for sample in samples], options.setting)
        return Dataset(self.format, root, options.setting, samples, name)

    def _pairs(self, root: Path, folder: Path, garments: Path, options: Options) -> tuple[list[Pair], str]:
        """The rows of the setting; without a paired list, every person of the unpaired one wears her own garment."""
        # a user who names the split's folder keeps the lists one level up, as published
        places = (root, folder, root.parent) if folder == root else (root, folder)
        path = options.pairs or find_list(places, options.setting, options.split)
        if path is not None:
            rows = read_pairs(path)
            return [self._complete(row, garments) for row in rows], path.name
        unpaired = find_list(places, "unpaired", options.split)
        if options.setting == "paired" and unpaired is not None:
            persons = dict.fromkeys(row.person for row in read_pairs(unpaired))
            rows = [self._complete(Pair(person, "", 0), garments) for person in persons]
            return rows, f"{unpaired.name}, each person in the worn garment"
        raise DataError(
            f"{root.name}: no list of {options.setting} pairs for {options.split}; give one with --pairs FILE "
            "(lines of two file names, person and garment)"
        )

    def _complete(self, row: Pair, garments: Path) -> Pair:
        """A one-column list names persons only: they wear their own garments."""
        if row.garment:
            return row
        own = role_file(
            garments.parent, Role((garments.name,), suffixes=_SUFFIX_ORDER), self.worn(stem(row.person))
        )
        return row._replace(garment=own.name if own else self.worn(stem(row.person)) + Path(row.person).suffix)


def _split_folder(root: Path, split: str) -> Path:
    """The folder of a split, or the root where the user names that folder itself.

    Raises:
        DataError: there are folders of other splits only.
    """
    if (root / split).is_dir():
        return root / split
    others = [name for name in ("test", "train") if (root / name).is_dir()]
    if others:
        raise DataError(f"{root.name}: no folder {split}/ but {others[0]}/; choose --split {others[0]}")
    return root


_SUFFIX_ORDER = (".jpg", ".jpeg", ".png", ".webp")


class _Finder:
    """Finds the files of one row."""

    def __init__(self, layout: Layout, folder: Path, options: Options) -> None:
        chosen = options.folders
        require_chosen((folder,), chosen)
        self.layout, self.folder, self.setting = layout, folder, options.setting
        self.persons = require_folder(folder, _chosen(chosen, "person", layout.person), "person photos")
        self.garments = require_folder(folder, _chosen(chosen, "garment", layout.garment), "garment photos")
        self.roles = {name: role.with_folder(chosen.get(name)) for name, role in layout.roles.items()}
        self.scheme = require_scheme(options.parse_scheme, layout.scheme)

    def sample(self, row: Pair) -> Sample:
        person, garment = stem(row.person), stem(row.garment)
        files = {
            name: role_file(self.folder, role, garment if name == "garment_mask" else person)
            for name, role in self.roles.items()
        }
        return Sample(
            pair_id=f"{person}__{garment}",
            person=self.persons / row.person,
            garment=self.garments / row.garment,
            reference=self.persons / row.person,
            setting=self.setting,
            category="upper_body",
            self_pair=garment == self.layout.worn(person),
            parse_scheme=self.scheme,
            **files,
        )


def stem(name: str) -> str:
    """File name without its last suffix."""
    return Path(name).stem


def _chosen(folders: Mapping[str, str], role: str, known: tuple[str, ...]) -> tuple[str, ...]:
    return (folders[role],) if role in folders else known
