"""ACDC cardiac MR as MT-UNet, CASCADE, EMCAD and U-Bench prepared it: slices and volumes as `.npz` or `.npy.h5`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .._shared.errors import DataError
from .arrays import ARRAY_SUFFIXES, is_array_file
from .dataset import Case, Dataset, Fold, Storage
from .lists import find_list, read_names

CLASSES: Mapping[int, str] = {0: "background", 1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
_PARTS = {"train": ("train",), "valid": ("valid", "val"), "test": ("test", "test_vol", "")}
_LAST_NUMBER = re.compile(r"^(?P<stack>.*?)_?(?P<index>\d+)$")
_PATIENT = re.compile(r"\d+")


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout."""
    return (root / "train").is_dir() and any(is_array_file(path) for path in (root / "train").iterdir())


def open_acdc(root: Path) -> Dataset:
    """Open `train/`, `valid/` (slices) and `test/` (volumes), or volumes directly in the folder.

    Names come from `lists_ACDC/{train,valid,test}.txt` in or beside the folder; without lists, every file counts.
    Slices that share everything but their last number make one frame of one patient; the first number is the patient.

    Raises:
        DataError: a listed file is missing, a name has no number, or no slice is there.
    """
    parts = {part: _cases(root, part) for part in _PARTS}
    training = (*parts["train"], *parts["valid"])
    if not training:
        raise DataError(f"{root.name}: no array in train/; expected {', '.join(ARRAY_SUFFIXES)} files")
    folds: tuple[Fold, ...] = ()
    if parts["valid"]:
        train, val = (tuple(case.case_id for case in parts[part]) for part in ("train", "valid"))
        folds = (Fold(train, val),)
    return Dataset(
        root,
        "acdc",
        CLASSES,
        ("MR",),
        training,
        parts["test"],
        folds=folds,
        spacing_known=False,
        labels="human",
        warnings=(
            "the split of 70, 10 and 20 patients is the community's, not the challenge's",
            "voxel sizes are not in these files: distances are in voxels, not in mm",
        ),
    )


def _cases(root: Path, part: str) -> tuple[Case, ...]:
    folder = next((root / name for name in _PARTS[part] if (root / name).is_dir()), root / part)
    found = {_stem(path): path for path in sorted(folder.glob("*")) if path.is_file() and is_array_file(path)}
    listed = find_list(root, "lists_ACDC", f"{part}.txt")
    names = [_stem(Path(name)) for name in read_names(listed)] if listed else list(found)
    stacks: dict[str, list[tuple[int, Path]]] = {}
    for name in names:
        if name not in found:
            raise DataError(f"{folder.name}/{name}: listed in {part}.txt, and not there")
        stack, index = _place(name, found[name])
        stacks.setdefault(stack, []).append((index, found[name]))
    return tuple(_case(stack, found) for stack, found in sorted(stacks.items()))


def _place(name: str, path: Path) -> tuple[str, int]:
    """The frame that a file belongs to, and its place in it; a volume is a frame of its own."""
    numbered = _LAST_NUMBER.match(name)
    if "slice" not in name.lower() or numbered is None:
        return name, -1
    return numbered["stack"], int(numbered["index"])


def _case(stack: str, files: list[tuple[int, Path]]) -> Case:
    patient = _PATIENT.search(stack)
    if patient is None:
        raise DataError(f"{files[0][1].name}: expected a name with the patient's number, as case_001_sliceED_0")
    is_volume = len(files) == 1 and files[0][0] < 0
    images = tuple(path for _, path in sorted(files))
    storage: Storage = "array" if is_volume else "slices"
    return Case(stack, images, patient_id=f"acdc {int(patient[0])}", storage=storage)


def _stem(path: Path) -> str:
    suffix = next((s for s in ARRAY_SUFFIXES if path.name.lower().endswith(s)), "")
    return path.name[: len(path.name) - len(suffix)]
