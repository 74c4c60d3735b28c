"""Which files under a path are one case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .._shared.errors import DataError
from ..data.dataset import Case, image_files, is_volume, split_suffix


def find_cases(path: Path, num_channels: int) -> list[Case]:
    """The cases under a path: one file, a folder whose files are one case each, or DICOM series.

    Several channels in separate files follow nnU-Net's names: `<case>_0000.nii.gz`, `<case>_0001.nii.gz`, ... Volumes
    need them; 2-D images may also hold all channels in one file, so they are put together only where every name has
    such an ending and every case is complete.

    Raises:
        DataError: no image, or a volume lacks a channel.
    """
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
