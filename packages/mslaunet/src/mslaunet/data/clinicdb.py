"""CVC-ClinicDB: 612 frames of 29 colonoscopy videos, in both forms that people have.

Frames of one video resemble each other, so the video is what a split may not part. The form of the official code
ships a list that does part it (T9 in the specs).
"""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .._shared.io.tables import read_table
from .dataset import Case, Dataset
from .folders import pair_files

BINARY = {0: "background", 1: "polyp"}
SPLIT_FILE, METADATA_FILES = "test_train_data.csv", ("metadata.csv", "CVC-ClinicDB_metadata.csv")
_FORMS = (("Original", "Ground Truth"), ("PNG/Original", "PNG/Ground Truth"), ("TIF/Original", "TIF/Ground Truth"))


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout."""
    coded = (root / "images").is_dir() and (root / SPLIT_FILE).is_file()
    return coded or any((root / masks).is_dir() for _, masks in _FORMS)


def open_clinicdb(root: Path) -> Dataset:
    """Open `images/`, `masks/` and `test_train_data.csv`, or `Original/` and `Ground Truth/` (also in `PNG/`, `TIF/`).

    Sequences come from the column `sequence_id` of `metadata.csv`; without it each frame is a group of its own, and a
    warning says so.

    Raises:
        DataError: frames and masks do not pair up, or a table does not fit the frames.
    """
    images, masks = next(
        ((root / i, root / m) for i, m in _FORMS if (root / m).is_dir()), (root / "images", root / "masks")
    )
    pairs = pair_files(images, masks)
    sequences = _sequences(root, set(pairs))
    roles = _roles(root, {image.name: name for name, (image, _) in pairs.items()})
    cases = [
        Case(name, (image,), mask, patient_id=f"sequence {sequences[name]}" if sequences else "")
        for name, (image, mask) in sorted(pairs.items(), key=lambda item: (len(item[0]), item[0]))
    ]
    training = tuple(case for case in cases if roles.get(case.case_id, "train") == "train")
    testing = tuple(case for case in cases if roles.get(case.case_id) == "test")
    warnings = []
    if not sequences:
        warnings.append(
            "no metadata.csv with sequence_id: frames of one video will fall on both sides of any split, and scores "
            "will be too high"
        )
    if testing:
        warnings.append("test_train_data.csv parts single frames, not videos (specs, T9)")
    return Dataset(
        root,
        "clinicdb",
        BINARY,
        ("red", "green", "blue"),
        training,
        testing,
        {0: 0, 255: 1},
        labels="human",
        warnings=tuple(warnings),
    )


def _sequences(root: Path, names: set[str]) -> dict[str, str]:
    path = next((root / name for name in METADATA_FILES if (root / name).is_file()), None)
    if path is None:
        return {}
    rows = read_table(path, required=["sequence_id"])
    column = next((c for c in ("frame_id", "image_id", "png_image_path") if rows and c in rows[0]), None)
    if column is None:
        raise DataError(f"{path.name}: no column frame_id, image_id or png_image_path; which row is which frame?")
    found = {Path(row[column].strip()).stem: row["sequence_id"].strip() for row in rows}
    if missing := sorted(name for name in names if not found.get(name)):
        raise DataError(
            f"{path.name}: {len(missing)} of {len(names)} frames have no sequence, the first: {missing[0]}"
        )
    return found


def _roles(root: Path, names: dict[str, str]) -> dict[str, str]:
    """Case id to "train" or "test"; empty without a list."""
    if not (root / SPLIT_FILE).is_file():
        return {}
    roles = {}
    for row in read_table(root / SPLIT_FILE, required=["category"], key="image_id"):
        name, role = row["image_id"].strip(), row["category"].strip()
        if name not in names or role not in ("train", "test"):
            raise DataError(f"{SPLIT_FILE}: {name}: {role}; expected the name of an image and train or test")
        roles[names[name]] = role
    if missing := sorted(set(names.values()) - roles.keys()):
        raise DataError(f"{SPLIT_FILE}: {len(missing)} images are not listed, the first: {missing[0]}")
    return roles
