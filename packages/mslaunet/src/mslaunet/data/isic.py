"""ISIC-2018 task 1 as it is distributed: `ISIC_0000000.jpg` and `ISIC_0000000_segmentation.png` in separate folders."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .dataset import Case, Dataset, Fold, image_files

BINARY = {0: "background", 1: "lesion"}
SUFFIX = "_segmentation"
_PARTS = ("Training", "Validation", "Test")


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout."""
    return any(root.glob("ISIC2018_Task1*_GroundTruth")) or any(root.glob("ISIC2018_Task1*_Input"))


def open_isic(root: Path) -> Dataset:
    """Open `ISIC2018_Task1-2_<part>_Input` with `ISIC2018_Task1_<part>_GroundTruth` of Training, Validation and Test.

    Superpixel pictures and the attribution text among the images are left alone. Which images show one lesion is not
    told, so each is a group of its own.

    Raises:
        DataError: an image of the training part has no mask, or there is no training part.
    """
    parts = {part: _cases(root, part) for part in _PARTS}
    if not parts["Training"]:
        raise DataError(
            f"{root.name}: no ISIC2018_Task1-2_Training_Input with images; expected the task's archives"
        )
    folds: tuple[Fold, ...] = ()
    if parts["Validation"] and all(case.has_mask for case in parts["Validation"]):
        train, val = (tuple(case.case_id for case in parts[p]) for p in ("Training", "Validation"))
        folds = (Fold(train, val),)
    training = (*parts["Training"], *(parts["Validation"] if folds else ()))
    return Dataset(
        root,
        "isic2018",
        BINARY,
        ("red", "green", "blue"),
        training,
        parts["Test"],
        {0: 0, 255: 1},
        folds=folds,
        labels="human",
        warnings=("images of one lesion or patient are not marked in this set: they may fall on both sides",),
    )


def _cases(root: Path, part: str) -> tuple[Case, ...]:
    images = next(iter(sorted(root.glob(f"ISIC2018_Task1*_{part}_Input"))), None)
    if images is None:
        return ()
    folder = next(iter(sorted(root.glob(f"ISIC2018_Task1*_{part}_GroundTruth"))), None)
    masks = {p.stem.removesuffix(SUFFIX): p for p in image_files(folder)} if folder else {}
    cases = []
    for path in image_files(images):
        if path.stem.endswith("_superpixels"):
            continue
        mask = masks.get(path.stem)
        if mask is None and part == "Training":
            raise DataError(f"{images.name}/{path.name}: no {path.stem}{SUFFIX}.png in the masks' folder")
        cases.append(Case(path.stem, (path,), mask))
    return tuple(cases)
