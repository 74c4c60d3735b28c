"""`mslaunet.json` of a prepared data set: where it came from, what each file was and is, who is on which side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from .._shared.config import FrozenModel
from .._shared.errors import DataError
from .._shared.files import atomic_write, sha256_file
from .dataset import Dataset, LabelSource

FILE_NAME = "mslaunet.json"
JOURNAL = ".prepare"


class FileRecord(FrozenModel):
    """A file by its name (within the data set, or in its source folder) and content."""

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class CaseRecord(FrozenModel):
    """One prepared case. `shape` is (D, H, W); `reading` says how the sources were read."""

    case_id: str
    part: Literal["training", "testing"]
    reading: str
    sources: list[FileRecord]
    files: list[FileRecord]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    label_voxels: dict[int, int]
    ambiguous_pixels: int = 0


class Manifest(FrozenModel):
    """All of it."""

    form: Literal[1] = 1
    layout: str = Field(description="layout that the data set was prepared from")
    label_map: str | None = Field(description="named label map that was used")
    labels: LabelSource
    spacing_known: bool
    warnings: tuple[str, ...]
    cases: list[CaseRecord]
    excluded: dict[str, str] = Field(description="case id to the reason why it was left out")


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write `mslaunet.json`, atomically."""
    atomic_write(root / FILE_NAME, manifest.model_dump_json(indent=1) + "\n")


def read_manifest(root: Path) -> Manifest | None:
    """The manifest of a prepared data set; None where there is none.

    Raises:
        DataError: it is damaged.
    """
    path = root / FILE_NAME
    if not path.is_file():
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as err:
        raise DataError(f"{FILE_NAME}: damaged; prepare the data set again") from err


def with_manifest(dataset: Dataset) -> Dataset:
    """Give an open data set what its manifest tells: who drew the masks, whether voxel sizes are known, warnings."""
    manifest = read_manifest(dataset.root)
    if manifest is None:
        return dataset
    return replace(
        dataset,
        labels=manifest.labels,
        spacing_known=manifest.spacing_known,
        warnings=(*dataset.warnings, *manifest.warnings),
    )


def changed_files(root: Path, manifest: Manifest) -> list[str]:
    """Names of prepared files that are missing or have other content than when they were written."""
    return [
        record.name
        for case in manifest.cases
        for record in case.files
        if not (root / record.name).is_file() or sha256_file(root / record.name) != record.sha256
    ]
