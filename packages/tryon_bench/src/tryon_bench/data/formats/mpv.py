"""MPV: triplets of two poses and a garment; try-on uses the rows whose first pose is a front view."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..._shared.errors import DataError
from ..._shared.io.tables import safe_relative_path
from ..pairs import require_setting
from ..roles import IMAGE_SUFFIXES, OPTIONAL_ROLES, require_chosen, require_folder, require_roles, require_scheme
from ..sample import Dataset, Sample
from .options import Options

FORMAT = "mpv"
LIST = "all_poseA_poseB_clothes*.txt"

# role -> (folder beside the photos, what follows the photo's stem)
_ROLES = {
    "parse": (("all_parsing",), (".png",)),
    "keypoints": (("all_keypoints",), ("_keypoints.json", ".json")),
    "densepose": (("all_densepose",), ("_IUV.png",)),
    "garment_mask": (("all_cloth_mask", "all_mask"), (".png", ".jpg", "_mask.png")),
    "agnostic_mask": (("all_agnostic_mask",), (".png", "_mask.png")),
    "agnostic": (("all_agnostic",), IMAGE_SUFFIXES),
}


def open_mpv(root: Path, options: Options) -> Dataset:
    """Open the front views of a split; each photo with the garment it shows counts once.

    MPV publishes no unpaired list. Without `pairs`, each person gets the garment of the next row that shows another
    item (our choice; the list's hash and name say so).

    Raises:
        DataError: no list, a damaged line, a path that leaves the folder, or a split without front views.
        ConfigError: an unknown role or scheme.
    """
    require_roles(options.folders, OPTIONAL_ROLES)
    require_chosen((root,), options.folders)
    images = require_folder(root, ("MPV_192_256", "all"), "photos")
    triplets = find_mpv_list(root)
    if options.pairs is not None:
        rows, name = _two_columns(options.pairs), options.pairs.name
    else:
        rows, name = _front_views(triplets, options.split), triplets.name
        if options.setting == "unpaired":
            rows, name = _shifted(rows), f"{name}, garments moved to the next item"
    samples = tuple(_sample(root, images, person, garment, options) for person, garment in rows)
    require_setting(name, [sample.self_pair for sample in samples], options.setting)
    return Dataset(FORMAT, root, options.setting, samples, name)


def find_mpv_list(root: Path) -> Path:
    """The triplet list; the one with a date goes first.

    Raises:
        DataError: there is none.
    """
    lists = sorted(root.glob(LIST))
    if not lists:
        raise DataError(f"{root.name}: no {LIST}; expected MPV's list of triplets")
    return lists[-1]


def _front_views(path: Path, split: str) -> list[tuple[str, str]]:
    rows = [
        fields for fields in _lines(path, 4) if fields[3] == split and "front" in PurePosixPath(fields[0]).name
    ]
    if not rows:
        raise DataError(f"{path.name}: no row of the split {split!r} whose first photo is a front view")
    return list(dict.fromkeys((fields[0], fields[2]) for fields in rows))


def _two_columns(path: Path) -> list[tuple[str, str]]:
    return [(fields[0], fields[1]) for fields in _lines(path, 2)]


def _lines(path: Path, columns: int) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise DataError(f"{path.name}: cannot be read as text; check the path") from err
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = [field.strip() for field in line.split("\t" if "\t" in line else None)]
        if not line.strip():
            continue
        if len(fields) < columns:
            raise DataError(f"{path.name}: line {number} has {len(fields)} columns; expected {columns}, with tabs")
        rows.append(fields)
    if not rows:
        raise DataError(f"{path.name}: empty; expected {columns} columns with tabs")
    return rows


def _shifted(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each person in the garment of the next row that shows another item.

    Raises:
        DataError: all rows show one item.
    """
    moved = []
    for index, (person, own) in enumerate(rows):
        others = [rows[(index + step) % len(rows)][1] for step in range(1, len(rows))]
        other = next((garment for garment in others if _item(garment) != _item(own)), None)
        if other is None:
            raise DataError("MPV: all rows show one item; an unpaired list needs two")
        moved.append((person, other))
    return moved


def _item(name: str) -> str:
    """What the photos of one item share: their folder, or the name before the view."""
    path = PurePosixPath(name)
    return str(path.parent) if path.parent != PurePosixPath(".") else path.name.partition("=")[0]


def _sample(root: Path, images: Path, person: str, garment: str, options: Options) -> Sample:
    files = {
        role: _beside(root, role, garment if role == "garment_mask" else person, options.folders.get(role))
        for role in _ROLES
    }
    photo = safe_relative_path(images, person)
    return Sample(
        pair_id=f"{_flat(person)}__{_flat(garment)}",
        person=photo,
        garment=safe_relative_path(images, garment),
        reference=photo,
        setting=options.setting,
        category="upper_body",
        self_pair=_item(person) == _item(garment),
        parse_scheme=require_scheme(options.parse_scheme, "lip"),
        **files,
    )


def _flat(name: str) -> str:
    """A relative path as one word that a file can carry."""
    return str(PurePosixPath(name).with_suffix("")).replace("/", "+")


def _beside(root: Path, role: str, name: str, chosen: str | None) -> Path | None:
    folders, endings = _ROLES[role]
    relative = PurePosixPath(name)
    for folder in (chosen,) if chosen else folders:
        for ending in endings:
            # some copies keep the items' folders, some put all files side by side
            for candidate in (relative.with_name(relative.stem + ending), PurePosixPath(relative.stem + ending)):
                path = root / folder / candidate
                if path.is_file():
                    return path
    return None
