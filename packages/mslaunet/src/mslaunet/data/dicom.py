"""Folders of DICOM series: `images/<case>/` with one series each, `masks/<case>.nii.gz` on the same grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .._shared.errors import DataError
from .._shared.io.dicom import DicomSeries, find_series
from .dataset import Case, Dataset, image_files, split_suffix
from .folders import found_ids


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout."""
    images = root / "images"
    return images.is_dir() and any(images.iterdir()) and all(p.is_dir() for p in images.iterdir())


def open_dicom(root: Path) -> Dataset:
    """Open the series; cases without a mask are for testing.

    Classes are the label ids found, in order; where ids have gaps, they are numbered anew and keep their old number in
    their name.

    Raises:
        DataError: a folder holds no series or several, modalities are mixed, or a mask belongs to no case.
    """
    if not recognises(root):
        raise DataError(f"{root.name}: expected images/ with one folder per case, each with a DICOM series")
    masks = {split_suffix(p)[0]: p for p in image_files(root / "masks")} if (root / "masks").is_dir() else {}
    training: list[Case] = []
    testing: list[Case] = []
    modalities: set[str] = set()
    for folder in sorted(p for p in (root / "images").iterdir() if p.is_dir()):
        series = one_series(folder)
        modalities.add(series.modality)
        files = tuple(item.path for item in series.slices)
        case = Case(folder.name, files, masks.pop(folder.name, None), storage="dicom")
        (training if case.has_mask else testing).append(case)
    if masks:
        raise DataError(f"masks/{next(iter(masks.values())).name}: no folder of that name in images/")
    if not training and not testing:
        raise DataError(f"{root.name}: no folder with a DICOM series in images/")
    if len(modalities) > 1:
        raise DataError(f"{root.name}: modalities {sorted(modalities)} are mixed; give them separate data sets")
    ids = found_ids(training)
    numbers = {label: number for number, label in enumerate(ids)}
    classes = {number: f"label_{label}" if label else "background" for label, number in numbers.items()}
    if ids != list(range(len(ids))):  # the masks of a tool that knows more structures than this scan shows
        training = [replace(case, label_map=numbers) for case in training]
    return Dataset(root, "dicom", classes, (modalities.pop() or "unknown",), tuple(training), tuple(testing))


def one_series(folder: Path) -> DicomSeries:
    """The only series of a folder.

    Raises:
        DataError: there is none, or several; the message tells how many slices each has.
    """
    series = find_series(folder)
    if len(series) > 1:
        counts = ", ".join(str(len(s.slices)) for s in series)
        raise DataError(
            f"{folder.name}: {len(series)} series of {counts} images; expected one, keep the wanted files"
        )
    return series[0]
