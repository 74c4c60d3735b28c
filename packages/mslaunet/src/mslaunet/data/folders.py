"""Plain folders: `images/<name>` and `masks/<name>` with the same name (the suffix may differ)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from .._shared.errors import DataError
from .dataset import Case, Dataset, image_files, is_volume, split_suffix

MASK_FOLDERS = ("masks", "labels")


def open_folders(root: Path, classes: Mapping[int, str] | None = None) -> Dataset:
    """Open `root/images` and `root/masks` (or `root/labels`).

    Without `classes`, 2-D masks are binary (0 background, 1 foreground), and volumes take the label ids found in
    their masks, named `label_<id>`.

    Raises:
        DataError: a folder is missing or empty, an image has no mask or a mask no image, or kinds are mixed.
    """
    images = {split_suffix(p)[0]: p for p in image_files(root / "images")}
    masks_dir = next((root / name for name in MASK_FOLDERS if (root / name).is_dir()), root / MASK_FOLDERS[0])
    masks = {split_suffix(p)[0]: p for p in image_files(masks_dir)}
    _require_pairs(images, masks, masks_dir.name)
    kinds = {is_volume(path) for path in images.values()}
    if len(kinds) > 1:
        raise DataError(f"{root.name}/images: volumes and 2-D images are mixed; give them separate data sets")
    cases = tuple(Case(name, (path,), masks[name]) for name, path in sorted(images.items()))
    if kinds == {True}:
        return Dataset(root, "folders", classes or _label_ids(cases), ("unknown",), cases)
    channels = _channels(cases)
    if classes is None:
        return Dataset(root, "folders", {0: "background", 1: "foreground"}, channels, cases, (), {0: 0, 255: 1})
    return Dataset(root, "folders", classes, channels, cases)


def _require_pairs(images: Mapping[str, Path], masks: Mapping[str, Path], folder: str) -> None:
    lonely = sorted(images.keys() - masks.keys())
    if lonely:
        name = images[lonely[0]].name
        raise DataError(f"images/{name}: no file of that name in {folder}/ ({len(lonely)} images without a mask)")
    orphans = sorted(masks.keys() - images.keys())
    if orphans:
        name = masks[orphans[0]].name
        raise DataError(f"{folder}/{name}: no file of that name in images/ ({len(orphans)} masks without image)")


def _label_ids(cases: tuple[Case, ...]) -> dict[int, str]:
    from .._shared.io.volumes import read_labels

    found: set[int] = {0}
    for case in cases:
        if case.mask is not None:
            with suppress(DataError):  # an unreadable mask is excluded later, with its reason
                found.update(int(v) for v in np.unique(read_labels(case.mask).array))
    if sorted(found) != list(range(len(found))):
        raise DataError(f"masks: label ids are {sorted(found)}; number the classes 0..n, or write a dataset.json")
    return {i: "background" if i == 0 else f"label_{i}" for i in sorted(found)}


def _channels(cases: tuple[Case, ...]) -> tuple[str, ...]:
    """Channels of the first readable image; the unreadable ones are excluded later, with their reasons."""
    from .._shared.io.images import read_image

    for case in cases:
        with suppress(DataError):
            array = read_image(case.images[0], alpha="drop").array
            return ("grey",) if array.ndim == 2 else ("red", "green", "blue")
    raise DataError(f"images: none of {len(cases)} files is a readable image")
