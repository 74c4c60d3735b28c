"""The raw BTCV challenge ("Beyond the Cranial Vault", abdomen): `img/img0001.nii.gz`, `label/label0001.nii.gz`."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .dataset import Case, Dataset, image_files, split_suffix
from .labels import LABEL_MAPS, LabelMapName

_PLACES = ("", "Training", "RawData/Training", "averaged-training-images")


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout."""
    return any((root / place / "img").is_dir() and (root / place / "label").is_dir() for place in _PLACES)


def open_btcv(root: Path, label_map: LabelMapName = "btcv") -> Dataset:
    """Open `img/` and `label/`, in the folder itself, in `Training/` or in `RawData/Training/`.

    Args:
        root: the folder.
        label_map: "btcv" keeps the 13 organs, "btcv-to-transunet" gives the 8 of Synapse.

    Raises:
        DataError: a scan has no labels, or the folders are missing or empty.
    """
    place = next((root / p for p in _PLACES if (root / p / "img").is_dir()), root)
    masks = {split_suffix(p)[0].removeprefix("label"): p for p in image_files(place / "label")}
    cases = []
    for path in image_files(place / "img"):
        number = split_suffix(path)[0].removeprefix("img")
        if number not in masks:
            raise DataError(f"img/{path.name}: no label/label{number}.nii.gz; every training scan has one")
        cases.append(Case(f"case{number}", (path,), masks[number], label_map=LABEL_MAPS[label_map].ids))
    testing = place.parent / "Testing" / "img"
    unseen = (
        tuple(Case(f"case{split_suffix(p)[0].removeprefix('img')}", (p,)) for p in image_files(testing))
        if testing.is_dir()
        else ()
    )
    classes = LABEL_MAPS[label_map].classes
    return Dataset(root, "btcv", classes, ("CT",), tuple(cases), unseen, labels="human")
