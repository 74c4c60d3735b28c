"""Kvasir-SEG and its kin: `images/` and `masks/` with the same names, masks saved as JPEG."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .dataset import Dataset
from .folders import open_folders

_BOXES = ("kavsir_bboxes.json", "kvasir_bboxes.json")  # the first is the release's own spelling


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout: plain folders beside the boxes that come with Kvasir-SEG."""
    return (root / "images").is_dir() and any((root / name).is_file() for name in _BOXES)


def open_kvasir(root: Path) -> Dataset:
    """Open `images/` and `masks/`; JPEG masks are thresholded at half range, their soft pixels counted.

    Raises:
        DataError: images and masks do not pair up.
    """
    dataset = open_folders(root)
    return replace(
        dataset,
        layout="kvasir",
        classes={0: "background", 1: "polyp"} if len(dataset.classes) == 2 else dataset.classes,
        labels="human",
        warnings=("which images come from one patient is not told in this set: they may fall on both sides",),
    )
