"""What a data set is, whatever its layout on disk, and how the layout is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .._shared.errors import DataError
from .labels import LabelMapName

VOLUME_SUFFIXES = (".nii.gz", ".nii")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

# fmt: off
Layout = Literal[
    "auto", "nnunet", "folders", "synapse", "btcv", "acdc", "acdc-raw", "clinicdb", "isic2018", "kvasir", "dicom",
    "nuclei", "totalsegmentator-mr",
]
# fmt: on
Storage = Literal["files", "slices", "array", "dicom"]
LabelSource = Literal["human", "silver", "unknown", "synthetic"]


@dataclass(frozen=True)
class Case:
    """One study and all that is needed to read it with `loading.load_case`, whatever its layout.

    Attributes:
        case_id: its name in the data set.
        images: its files. Storage "files": one per channel, or a single file of several channels; "slices": one
            `.npz` per axial slice, in order; "array": one `.npz` or `.h5` volume; "dicom": the slices of one series.
        mask: the file of its mask, if any; None for slices and arrays, whose files hold image and label.
        patient_id: what may not be parted by a split: the patient, the video sequence; by default the case itself.
        storage: how the files are read.
        label_map: label id in the files to label id of the data set; "instances" makes every object foreground.
        restore_hu: intensities are CT clipped to [-125, 275] HU and scaled to [0, 1], to be turned back into HU.
        box: (top, left, height, width) in pixels, the part of a 2-D image that is this case.
    """

    case_id: str
    images: tuple[Path, ...]
    mask: Path | None = None
    patient_id: str = ""
    storage: Storage = "files"
    label_map: Mapping[int, int] | Literal["instances"] | None = None
    restore_hu: bool = False
    box: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if not self.patient_id:
            object.__setattr__(self, "patient_id", self.case_id)

    @property
    def is_volume(self) -> bool:
        """True for volumes (NIfTI, DICOM series, arrays), False for 2-D images."""
        return self.storage != "files" or is_volume(self.images[0])

    @property
    def has_mask(self) -> bool:
        """Whether there is a mask, in a file of its own or beside the image in its file."""
        return self.mask is not None or self.storage in ("slices", "array")

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the case, images first."""
        return self.images if self.mask is None else (*self.images, self.mask)

    @property
    def reading(self) -> str:
        """How the files are read, as text: with their content it decides what is in memory."""
        ids = sorted(self.label_map.items()) if isinstance(self.label_map, Mapping) else self.label_map
        return repr((self.storage, ids, self.restore_hu, self.box))


@dataclass(frozen=True)
class Fold:
    """One way to keep cases for validation: ids of the training cases, those kept, and those used by nobody."""

    train: tuple[str, ...]
    val: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """Cases with the meaning of their labels: the one interface between layouts on disk and everything else.

    Any recipe runs on any layout: training asks `training`, `folds` and `classes` only, and reads cases through
    `loading.load_case`.

    Attributes:
        root: the data set's folder.
        layout: the layout that was read.
        classes: label id (0 is background) to name.
        channels: names of the input channels in order.
        training: cases with masks.
        testing: cases that training never sees; they may have no masks.
        mask_values: how 2-D masks store the classes (pixel value to label id; empty: the pixel value is the id).
        folds: validation parts that the data set brings along (an official validation part, or `splits_final.json`).
        spacing_known: False where the files do not say how large a voxel is; distances are then in voxels.
        labels: who drew the masks; silver masks were made by a model.
        warnings: what a user must know about this data set or its official split.
    """

    root: Path
    layout: str
    classes: Mapping[int, str]
    channels: tuple[str, ...]
    training: tuple[Case, ...]
    testing: tuple[Case, ...] = ()
    mask_values: Mapping[int, int] | None = None
    folds: tuple[Fold, ...] = ()
    spacing_known: bool = True
    labels: LabelSource = "unknown"
    warnings: tuple[str, ...] = ()

    @property
    def is_volumetric(self) -> bool:
        """True when the cases are volumes."""
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


def open_dataset(
    root: Path,
    layout: Layout = "auto",
    classes: Mapping[int, str] | None = None,
    *,
    label_map: LabelMapName | None = None,
    overlap: Literal["refuse", "allow"] = "refuse",
    own_folds: bool = True,
) -> Dataset:
    """Open a data set folder in any of the layouts of `layouts.LAYOUTS`.

    Args:
        root: the data set's folder.
        layout: the layout, or "auto" to recognise it.
        classes: label id to name, for plain folders (the other layouts bring their own).
        label_map: which numbers mean which organs, for Synapse and BTCV, see `labels.LABEL_MAPS`.
        overlap: what to do about a patient or video sequence with cases for training and for testing.
        own_folds: take the folds of a `splits_final.json` in the folder.

    Raises:
        DataError: no such folder, unknown layout, missing or unpaired files, a wrong label map, a `patients.csv` that
            does not fit, or a patient on both sides of a split.
        ConfigError: an option for a layout that has no use for it.
    """
    from .layouts import open_layout
    from .patients import assign_patients
    from .splits import read_folds, require_disjoint

    if not root.is_dir():
        raise DataError(f"{root.name}: expected a data set folder, found none; check the path")
    dataset = assign_patients(open_layout(root, layout, classes, label_map), overlap)
    dataset = read_folds(dataset) if own_folds else dataset
    require_disjoint(dataset, overlap)
    return dataset
