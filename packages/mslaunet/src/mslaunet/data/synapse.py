"""Synapse multi-organ CT as TransUNet prepared it: slices in `train_npz/`, volumes in `test_vol_h5/`, lists of names.

Slices of one scan are put back together, so that splits, 2.5-D and metrics see scans. Intensities are turned back
into HU, so that models trained on these files read real CT and the reverse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .._shared.errors import DataError
from .arrays import read_array_pair
from .dataset import Case, Dataset
from .labels import LABEL_MAPS, LabelMapName, apply_map, require_liver_largest
from .lists import find_list, read_names

_SLICE = re.compile(r"(?P<case>.+)_slice(?P<index>\d+)$")
_VOLUME_SUFFIXES = (".npy.h5", ".h5", ".npz")


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout."""
    return (root / "train_npz").is_dir() or (root / "test_vol_h5").is_dir()


def open_synapse(root: Path, label_map: LabelMapName = "transunet") -> Dataset:
    """Open `train_npz/<case>_slice<n>.npz` and `test_vol_h5/<case>.npy.h5`.

    Names come from `lists/lists_Synapse/train.txt` and `test_vol.txt` in or beside the folder; without lists, every
    file counts. The meaning of the labels is checked on the first case: the liver must be the largest organ.

    Args:
        root: the folder.
        label_map: whose numbers the files have: "transunet" or "cascade" (which has the challenge's 13).

    Raises:
        DataError: a listed file is missing, no slice is there, or the label map does not fit.
    """
    chosen = LABEL_MAPS[label_map]
    training = _training(root, chosen.ids)
    testing = _testing(root, chosen.ids)
    if not training and not testing:
        raise DataError(f"{root.name}: no slice in train_npz/ and no volume in test_vol_h5/")
    _require_map((training or testing)[0], label_map)
    return Dataset(
        root,
        "synapse",
        chosen.classes,
        ("CT",),
        training,
        testing,
        spacing_known=False,
        labels="human",
        warnings=(
            "the official split has no validation part; published numbers were often selected on its test scans",
            "voxel sizes are not in these files: distances are in voxels, not in mm",
        ),
    )


def _training(root: Path, ids: Mapping[int, int]) -> tuple[Case, ...]:
    folder = root / "train_npz"
    listed = find_list(root, "lists_Synapse", "train.txt")
    names = read_names(listed) if listed else sorted(p.stem for p in folder.glob("*.npz"))
    slices: dict[str, list[tuple[int, Path]]] = {}
    for name in names:
        parts = _SLICE.fullmatch(name)
        path = folder / f"{name}.npz"
        if parts is None:
            raise DataError(f"train_npz/{name}: expected a name like case0005_slice000")
        if not path.is_file():
            raise DataError(f"train_npz/{path.name}: listed in train.txt, and not there")
        slices.setdefault(parts["case"], []).append((int(parts["index"]), path))
    return tuple(
        Case(case, tuple(path for _, path in sorted(found)), storage="slices", label_map=ids, restore_hu=True)
        for case, found in sorted(slices.items())
    )


def _testing(root: Path, ids: Mapping[int, int]) -> tuple[Case, ...]:
    folder = root / "test_vol_h5"
    found = {p.name[: -len(s)]: p for s in reversed(_VOLUME_SUFFIXES) for p in sorted(folder.glob(f"*{s}"))}
    listed = find_list(root, "lists_Synapse", "test_vol.txt")
    names = read_names(listed) if listed else sorted(name for name in found if not name.endswith(".npy"))
    if missing := [name for name in names if name not in found]:
        raise DataError(
            f"test_vol_h5/{missing[0]}.npy.h5: listed in test_vol.txt, and not there ({len(missing)} missing)"
        )
    return tuple(Case(name, (found[name],), storage="array", label_map=ids, restore_hu=True) for name in names)


def _require_map(case: Case, label_map: LabelMapName) -> None:
    """Fail loudly where the numbers of the files cannot be those of the map."""
    counts = np.zeros(1, np.int64)
    for path in case.images:
        labels = read_array_pair(path, image=False)[1]
        if labels is not None:
            found = np.bincount(labels.ravel())
            counts = np.pad(counts, (0, max(0, len(found) - len(counts))))
            counts[: len(found)] += found
    present = np.flatnonzero(counts)
    if present.max(initial=0) > (known := max(LABEL_MAPS[label_map].ids)):
        raise DataError(
            f"{case.case_id}: label ids up to {present.max()}, the map {label_map} knows 0..{known}; "
            f"choose another with data.label_map or --label-map: {', '.join(LABEL_MAPS)}"
        )
    volumes: dict[int, float] = {}
    for source, target in zip(present, apply_map(present, LABEL_MAPS[label_map].ids), strict=True):
        volumes[int(target)] = volumes.get(int(target), 0) + float(counts[source])
    require_liver_largest(volumes, LABEL_MAPS[label_map].classes, case.case_id)
