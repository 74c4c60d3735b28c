"""The nnU-Net raw layout: `dataset.json`, `imagesTr/<case>_0000.nii.gz`, `labelsTr/<case>.nii.gz`, `imagesTs/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from .._shared.errors import DataError
from .dataset import IMAGE_SUFFIXES, VOLUME_SUFFIXES, Case, Dataset, image_files
from .manifest import with_manifest

LabelId = Annotated[int, Field(ge=0, le=65535)]


class DatasetJson(BaseModel):
    """The fields of nnU-Net's `dataset.json` that are read here; others are ignored."""

    channel_names: dict[int, str]
    labels: dict[str, LabelId | list[LabelId]]
    file_ending: str


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout."""
    return (root / "dataset.json").is_file()


def open_nnunet(root: Path) -> Dataset:
    """Open an nnU-Net raw data set.

    Raises:
        DataError: `dataset.json` is damaged, a channel or a label file is missing, or the labels are regions.
    """
    header = _read_header(root / "dataset.json")
    classes = _classes(header)
    ending = header.file_ending.lower()
    if ending not in VOLUME_SUFFIXES + IMAGE_SUFFIXES:
        raise DataError(f"dataset.json: file_ending {ending!r} is not supported; expected .nii.gz, .nii or .png")
    training = _cases(root / "imagesTr", root / "labelsTr", ending, header.channel_names)
    testing: tuple[Case, ...] = ()
    if (root / "imagesTs").is_dir():
        testing = _cases(root / "imagesTs", root / "labelsTs", ending, header.channel_names, needs_mask=False)
    channels = tuple(header.channel_names[i] for i in sorted(header.channel_names))
    return with_manifest(Dataset(root, "nnunet", classes, channels, training, testing))


def read_classes(path: Path) -> dict[int, str]:
    """Label id to name, of a `dataset.json` alone.

    Raises:
        DataError: the file is damaged, or the labels are regions.
    """
    return _classes(_read_header(path))


def _read_header(path: Path) -> DatasetJson:
    try:
        return DatasetJson.model_validate(json.loads(path.read_text(encoding="utf-8-sig")))
    except ValidationError as err:
        first = err.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DataError(f"dataset.json: {field}: {first['msg']} (nnU-Net v2 raw format)") from err
    except (OSError, ValueError) as err:
        raise DataError("dataset.json: not readable as JSON; expected the nnU-Net v2 raw format") from err


def _classes(header: DatasetJson) -> dict[int, str]:
    classes = {}
    for name, value in header.labels.items():
        if isinstance(value, list) or name == "ignore":
            raise DataError(f"dataset.json: label {name!r} is a region or ignore label; give one id per class")
        classes[value] = name
    if sorted(classes) != list(range(len(header.labels))):
        raise DataError(f"dataset.json: label ids are {sorted(classes)}; expected 0..{len(header.labels) - 1}")
    return dict(sorted(classes.items()))


def _cases(
    images: Path, labels: Path, ending: str, channels: dict[int, str], *, needs_mask: bool = True
) -> tuple[Case, ...]:
    by_case: dict[str, dict[int, Path]] = {}
    for path in image_files(images):
        stem = path.name[: -len(ending)]
        name, _, number = stem.rpartition("_")
        if not path.name.lower().endswith(ending) or len(number) != 4 or not number.isdigit():
            raise DataError(f"{images.name}/{path.name}: expected a name like case_0000{ending}")
        by_case.setdefault(name, {})[int(number)] = path
    cases = []
    for name, files in sorted(by_case.items()):
        colour_file = ending in IMAGE_SUFFIXES and sorted(files) == [0]  # one RGB file, as nnU-Net writes it
        if sorted(files) != sorted(channels) and not colour_file:
            raise DataError(f"{images.name}/{name}: found channels {sorted(files)}, expected {sorted(channels)}")
        mask = labels / f"{name}{ending}"
        if not mask.is_file() and needs_mask:
            raise DataError(f"{labels.name}/{mask.name}: the mask of a training case is missing")
        cases.append(Case(name, tuple(files[i] for i in sorted(files)), mask if mask.is_file() else None))
    return tuple(cases)
