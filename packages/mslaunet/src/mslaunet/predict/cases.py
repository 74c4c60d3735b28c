"""Which files under a path are one case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from .._shared.errors import DataError
from .._shared.io.dicom import find_series
from ..data.dataset import (
    IMAGE_SUFFIXES,
    VOLUME_SUFFIXES,
    Case,
    image_files,
    is_volume,
    open_dataset,
    split_suffix,
)
from ..data.parts import Part, cases_of, is_dataset


def find_cases(path: Path, num_channels: int, part: Part = "test") -> list[Case]:
    """The cases under a path: one file, a folder of files, a data set of any layout, or a folder of DICOM series.

    Of a data set come the cases of `part`; a DICOM series is named after its folder, and its number if it has several.

    Several channels in separate files follow nnU-Net's names: `<case>_0000.nii.gz`, `<case>_0001.nii.gz`, ... Volumes
    need them; 2-D images may also hold all channels in one file, so they are put together only where every name has
    such an ending and every case is complete.

    Raises:
        DataError: no image, or a volume lacks a channel.
    """
    if path.is_dir() and not _holds_images(path):
        return _dataset_cases(path, part) or _dicom_cases(path)
    files = [path] if path.is_file() else image_files(path)
    volumes = is_volume(files[0])
    endings = tuple(f"_{channel:04d}" for channel in range(num_channels))
    names = {p: split_suffix(p)[0] for p in files}
    grouped = _group({p: name[:-5] if name.endswith(endings) else name for p, name in names.items()})
    complete = all(len(members) == num_channels for members in grouped.values())
    numbered = all(name.endswith(endings) for name in names.values())
    if not (numbered and (volumes or complete)):
        grouped = _group(names)
    for name, members in grouped.items():
        if volumes and len(members) != num_channels:
            raise DataError(
                f"{name}: found {len(members)} files, the model needs {num_channels} (endings {', '.join(endings)})"
            )
    return [Case(name, tuple(members)) for name, members in grouped.items()]


def _group(names: Mapping[Path, str]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path, name in names.items():
        groups.setdefault(name, []).append(path)
    return groups


def _holds_images(folder: Path) -> bool:
    known = VOLUME_SUFFIXES + IMAGE_SUFFIXES
    return any(p.is_file() and split_suffix(p)[1] in known for p in folder.iterdir())


def _dataset_cases(root: Path, part: Part) -> list[Case]:
    """Cases of a data set without their masks; none where the folder is no data set."""
    if not is_dataset(root):
        return []
    return [_unlabelled(case) for case in cases_of(open_dataset(root, overlap="allow"), part)]


def _unlabelled(case: Case) -> Case:
    return replace(case, mask=None)


def _dicom_cases(folder: Path) -> list[Case]:
    """One case per series; numbered where a folder holds several."""
    if not any(p.is_file() for p in folder.rglob("*")):
        raise DataError(f"{folder.name}: no image among 0 files; expected images, a data set, or DICOM series")
    series = find_series(folder)
    parents = [one.slices[0].path.parent.name for one in series]
    names = [
        parent if parents.count(parent) == 1 else f"{parent}_{number}"
        for number, parent in enumerate(parents, start=1)
    ]
    return [
        Case(name, tuple(item.path for item in one.slices), storage="dicom")
        for name, one in zip(names, series, strict=True)
    ]
