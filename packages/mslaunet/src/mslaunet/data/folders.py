"""Plain folders: `images/<name>` and `masks/<name>` with the same name (the suffix may differ)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from .._shared.errors import DataError
from .dataset import Case, Dataset, image_files, split_suffix

MASK_FOLDERS = ("masks", "labels")


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout."""
    return (root / "images").is_dir()


def open_folders(root: Path, classes: Mapping[int, str] | None = None) -> Dataset:
    """Open `root/images` and `root/masks` (or `root/labels`).

    Without `classes`, 2-D masks are binary (0 background, 1 foreground), and volumes take the label ids found in
    their masks, named `label_<id>`.

    Raises:
        DataError: a folder is missing or empty, an image has no mask or a mask no image, or kinds are mixed.
    """
    masks_dir = next((root / name for name in MASK_FOLDERS if (root / name).is_dir()), root / MASK_FOLDERS[0])
    pairs = pair_files(root / "images", masks_dir)
    cases = tuple(Case(name, (image,), mask) for name, (image, mask) in sorted(pairs.items()))
    if len({case.is_volume for case in cases}) > 1:
        raise DataError(f"{root.name}/images: volumes and 2-D images are mixed; give them separate data sets")
    if cases[0].is_volume:
        return Dataset(root, "folders", classes or label_ids(cases), ("unknown",), cases)
    channels = _channels(cases)
    if classes is None:
        return Dataset(root, "folders", {0: "background", 1: "foreground"}, channels, cases, (), {0: 0, 255: 1})
    return Dataset(root, "folders", classes, channels, cases)


def pair_files(images_dir: Path, masks_dir: Path) -> dict[str, tuple[Path, Path]]:
    """Name without suffix to image and mask, of two folders with the same names.

    Raises:
        DataError: a folder is missing or empty, or an image has no mask, or a mask no image.
    """
    images = {split_suffix(p)[0]: p for p in image_files(images_dir)}
    masks = {split_suffix(p)[0]: p for p in image_files(masks_dir)}
    folder = masks_dir.name
    lonely = sorted(images.keys() - masks.keys())
    if lonely:
        name = images[lonely[0]].name
        raise DataError(
            f"{images_dir.name}/{name}: no file of that name in {folder}/ ({len(lonely)} images without a mask)"
        )
    orphans = sorted(masks.keys() - images.keys())
    if orphans:
        name = masks[orphans[0]].name
        raise DataError(
            f"{folder}/{name}: no file of that name in {images_dir.name}/ ({len(orphans)} masks without image)"
        )
    return {name: (image, masks[name]) for name, image in images.items()}


def label_ids(cases: Sequence[Case]) -> dict[int, str]:
    """Names for the label ids found in the masks of volumes.

    Raises:
        DataError: the ids have gaps.
    """
    found = found_ids(cases)
    if found != list(range(len(found))):
        raise DataError(f"masks: label ids are {found}; number the classes 0..n, or write a dataset.json")
    return {i: "background" if i == 0 else f"label_{i}" for i in found}


def found_ids(cases: Sequence[Case]) -> list[int]:
    """The label ids in the masks of volumes, in order, 0 among them."""
    from .._shared.io.volumes import read_labels

    found: set[int] = {0}
    for case in cases:
        if case.mask is not None:
            with suppress(DataError):  # an unreadable mask is excluded later, with its reason
                found.update(int(v) for v in np.unique(read_labels(case.mask).array))
    return sorted(found)


def _channels(cases: tuple[Case, ...]) -> tuple[str, ...]:
    """Channels of the first readable image; the unreadable ones are excluded later, with their reasons."""
    from .._shared.io.images import read_image

    for case in cases:
        with suppress(DataError):
            array = read_image(case.images[0], alpha="drop").array
            return ("grey",) if array.ndim == 2 else ("red", "green", "blue")
    raise DataError(f"images: none of {len(cases)} files is a readable image")
