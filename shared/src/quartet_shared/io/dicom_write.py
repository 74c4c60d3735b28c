"""Uncompressed DICOM slices of made-up patients: for synthetic data sets and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from ..errors import ConfigError, DataError
from ..files import atomic_path

_CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage, "CR": ComputedRadiographyImageStorage}


def synthetic_uid(*parts: object) -> str:
    """A valid UID that depends on nothing but its parts, so that equal seeds give equal files.

    Example:
        >>> synthetic_uid("series", 1) == synthetic_uid("series", 1)
        True
    """
    return str(generate_uid(entropy_srcs=[str(part) for part in parts]))


def write_dicom(
    path: Path,
    pixels: NDArray[Any],
    *,
    modality: str,
    series_uid: str,
    study_uid: str,
    instance_number: int = 1,
    position_mm: Sequence[float] | None = None,
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    spacing_mm: Sequence[float] = (1, 1),
    slope: float = 1,
    intercept: float = 0,
    elements: Mapping[str, Any] | None = None,
) -> None:
    """Write one image of a made-up patient, atomically; equal arguments give equal bytes.

    Args:
        path: the file.
        pixels: (rows, columns) stored values, uint8, uint16 or int16.
        modality: CT, MR or CR; others become secondary captures.
        series_uid: shared by the files of a series, see `synthetic_uid`.
        study_uid: shared by the series of a study.
        instance_number: number within the series.
        position_mm: (3,) centre of the first pixel, patient axes (LPS); None for a film.
        orientation: (6,) direction of growing column index, then of growing row index.
        spacing_mm: (2,) distance of rows, distance of columns.
        slope: RescaleSlope.
        intercept: RescaleIntercept.
        elements: further elements by keyword; None removes one.

    Raises:
        ConfigError: an element is not in the standard.
        DataError: another type or shape.
        ResourceError: the file cannot be written.
    """
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16, np.int16):
        raise DataError(f"{path.name}: expected (rows, columns) uint8, uint16 or int16, got {pixels.shape}")
    data = Dataset()
    data.SOPClassUID = _CLASSES.get(modality, SecondaryCaptureImageStorage)
    data.SOPInstanceUID = synthetic_uid(series_uid, instance_number, path.name)
    data.SeriesInstanceUID, data.StudyInstanceUID = series_uid, study_uid
    data.FrameOfReferenceUID = synthetic_uid(study_uid, "frame of reference")
    data.Modality, data.InstanceNumber = modality, instance_number
    data.PatientName, data.PatientID = "Synthetic", "synthetic"
    data.StudyDate = data.StudyTime = data.AccessionNumber = data.PatientBirthDate = data.PatientSex = ""
    data.StudyID, data.SeriesNumber = "1", 1
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.RescaleSlope, data.RescaleIntercept = slope, intercept
    data.PixelSpacing = [_decimal(v) for v in spacing_mm]
    if position_mm is not None:
        data.ImagePositionPatient = [_decimal(v) for v in position_mm]
        data.ImageOrientationPatient = [_decimal(v) for v in orientation]
    raw = np.ascontiguousarray(pixels).tobytes()
    data.PixelData = raw + bytes(len(raw) % 2)
    data["PixelData"].VR = "OB" if data.BitsAllocated == 8 else "OW"
    for keyword, value in (elements or {}).items():
        _set(data, keyword, value, path.name)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with atomic_path(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        data.save_as(temporary, enforce_file_format=True)


def _decimal(value: float) -> str:
    """As many digits as a decimal string may hold (16 characters)."""
    return next(text for digits in range(16, 0, -1) if len(text := f"{float(value):.{digits}g}") <= 16)


def _set(data: Dataset, keyword: str, value: Any, name: str) -> None:
    if value is None:
        if keyword in data:
            delattr(data, keyword)
        return
    if tag_for_keyword(keyword) is None:
        raise ConfigError(f"{name}: {keyword} is no DICOM keyword")
    setattr(data, keyword, value)
