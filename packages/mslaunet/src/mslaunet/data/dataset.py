"""What a data set is, whatever its layout on disk, and how the layout is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .._shared.errors import ConfigError, DataError

VOLUME_SUFFIXES = (".nii.gz", ".nii")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

Layout = Literal["auto", "nnunet", "folders"]


@dataclass(frozen=True)
class Case:
    """One study: its image files (one per channel, or a single file of several channels) and its mask, if any.

    Cases of one patient share `patient_id`; without a `patients.csv` it is the case id.
    """

    case_id: str
    images: tuple[Path, ...]
    mask: Path | None = None
    patient_id: str = ""

    def __post_init__(self) -> None:
        if not self.patient_id:
            object.__setattr__(self, "patient_id", self.case_id)

    @property
    def is_volume(self) -> bool:
        """True for NIfTI volumes, False for 2-D images."""
        return is_volume(self.images[0])


@dataclass(frozen=True)
class Dataset:
    """Cases with the meaning of their labels.

    `classes` maps label id (0 is background) to name; `channels` names the input channels in order. Cases of
    `training` have masks, cases of `testing` may have none. `mask_values` says how 2-D masks store the classes
    (pixel value to label id; empty: the pixel value is the label id).
    """

    root: Path
    layout: str
    classes: Mapping[int, str]
    channels: tuple[str, ...]
    training: tuple[Case, ...]
    testing: tuple[Case, ...] = ()
    mask_values: Mapping[int, int] | None = None

    @property
    def is_volumetric(self) -> bool:
        """True when the cases are NIfTI volumes."""
        return (self.training or self.testing)[0].is_volume


def split_suffix(path: Path) -> tuple[str, str]:
    """Return (name without suffix, suffix), where `.nii.gz` is one suffix.

    >>> split_suffix(Path("liver.01.nii.gz"))
    ('liver.01', '.nii.gz')
    """
    name = path.name
    if name.lower().endswith(".nii.gz"):
        return name[:-7], name[-7:].lower()
    return path.stem, path.suffix.lower()


def is_volume(path: Path) -> bool:
    """True when the name ends like a NIfTI file."""
    return split_suffix(path)[1] in VOLUME_SUFFIXES


def image_files(folder: Path) -> list[Path]:
    """List the readable images and volumes of a folder, sorted by name; hidden files are left out.

    Raises:
        DataError: the folder does not exist or holds no image.
    """
    if not folder.is_dir():
        raise DataError(f"{folder.name}: expected a folder of images, found none; check the path")
    known = VOLUME_SUFFIXES + IMAGE_SUFFIXES
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    found = [p for p in files if split_suffix(p)[1] in known]
    if not found:
        raise DataError(f"{folder.name}: no image among {len(files)} files; expected {', '.join(known)}")
    return found


def open_dataset(root: Path, layout: Layout = "auto", classes: Mapping[int, str] | None = None) -> Dataset:
    """Open a data set folder: nnU-Net raw (`dataset.json`) or plain `images/` and `masks/` folders.

    Args:
        root: the data set's folder.
        layout: the layout, or "auto" to recognise it.
        classes: label id to name, for the plain layout (nnU-Net raw brings its own).

    Raises:
        DataError: no such folder, unknown layout, missing or unpaired files, or a `patients.csv` that does not fit.
        ConfigError: `classes` for a data set that brings its own.
    """
    from .folders import open_folders
    from .nnunet import open_nnunet
    from .patients import assign_patients

    if not root.is_dir():
        raise DataError(f"{root.name}: expected a data set folder, found none; check the path")
    if layout == "nnunet" or (layout == "auto" and (root / "dataset.json").is_file()):
        if classes is not None:
            raise ConfigError("data.classes is for plain folders; nnU-Net raw names its classes in dataset.json")
        return assign_patients(open_nnunet(root))
    if layout == "folders" or (layout == "auto" and (root / "images").is_dir()):
        return assign_patients(open_folders(root, classes))
    raise DataError(
        f"{root.name}: layout not recognised; expected dataset.json with imagesTr/ and labelsTr/ (nnU-Net raw), "
        "or images/ and masks/ with the same file names"
    )
