"""DICOM series as volumes, and single films, through whatever codec they need.

Slices are placed by their positions, never by thickness or file order. A series that is not one regular stack of
slices is refused with what is wrong, never repaired by guessing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from ..errors import DataError, ResourceError
from .dicom_file import MAX_SLICE_PIXELS, DicomSlice, decode, read_dataset, read_header, translated
from .images import ImageData
from .volumes import MAX_VOXELS, Volume, new_volume

__all__ = ["DicomSeries", "DicomSlice", "find_series", "read_film", "read_series"]

_MAX_JITTER = 0.02  # of a slice step: what rounding in the header explains; a missing slice moves by a whole one
_MIN_JITTER_MM = 0.01
_MAX_SHEAR = 0.01  # sine of the angle between slice step and slice normal; gantry tilt is 5 degrees and more


@dataclass(frozen=True)
class DicomSeries:
    """The files that share a SeriesInstanceUID; no identifier of the patient.

    Attributes:
        uid: SeriesInstanceUID; for grouping and for objects derived from it, not for logs. Empty where a
            de-identified file has none; files of one folder then make a series.
        study_uid: StudyInstanceUID, likewise.
        modality: e.g. "MR".
        description: SeriesDescription, free text; not for logs.
        number: SeriesNumber.
        series_s: SeriesTime, seconds since midnight.
        slices: one per file, ordered by instance number, then by name.
    """

    uid: str = field(repr=False)
    study_uid: str = field(repr=False)
    modality: str
    description: str = field(repr=False)
    number: int | None
    series_s: float | None
    slices: tuple[DicomSlice, ...] = field(repr=False)


def find_series(folder: Path) -> list[DicomSeries]:
    """Group the DICOM images below a folder by series; headers only, other files are passed over.

    Args:
        folder: searched with its subfolders; links to folders are not followed.

    Returns:
        In the order of series numbers, then of file names.

    Raises:
        DataError: no folder, no DICOM image below it, or a damaged DICOM file.
    """
    if not folder.is_dir():
        raise DataError(f"{folder.name}: no such folder; expected a folder of DICOM files")
    found: dict[str, tuple[Any, list[DicomSlice]]] = {}
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            header = read_header(Path(root) / name) if (Path(root) / name).is_file() else None
            if header is not None:
                found.setdefault(header[0].uid or root, (header[0], []))[1].append(header[1])
    if not found:
        raise DataError(f"{folder.name}: no DICOM image in it or below it; expected a folder of DICOM files")
    series = [
        DicomSeries(
            tags.uid,
            tags.study_uid,
            tags.modality,
            tags.description,
            tags.number,
            tags.series_s,
            tuple(sorted(slices, key=lambda s: (s.instance_number or 0, s.path.name))),
        )
        for tags, slices in found.values()
    ]
    return sorted(series, key=lambda s: (s.number is None, s.number or 0))


def read_series(series: DicomSeries | Sequence[DicomSlice | Path], *, max_voxels: int = MAX_VOXELS) -> Volume:
    """Read one stack of slices into a volume; rescale slope and intercept (or the modality LUT) are applied.

    World coordinates are those of the standard's equation C.7.6.2.1-1, turned from LPS to RAS. The distance of slices
    is that of their positions.

    Args:
        series: a series of `find_series`, some of its slices (one time point of several, for instance), or files.
        max_voxels: refuse larger volumes before decoding.

    Returns:
        The scan, float32; its `source` is (columns, rows, slices) in the order of the positions.

    Raises:
        DataError: not one regular stack (gap, duplicate, mixed size, orientation or spacing, tilted), colour,
            multi-frame, damaged, or too large.
        ResourceError: the volume does not fit the memory.

    Example:
        >>> find_series(Path("no_such_folder"))
        Traceback (most recent call last):
        ...
        quartet_shared.errors.DataError: no_such_folder: no such folder; expected a folder of DICOM files
    """
    slices = _as_slices(series)
    _require_alike(slices)
    first = slices[0]
    if len(slices) * first.rows * first.columns > max_voxels:
        raise DataError(
            f"{first.path.name}: {len(slices)} slices of {first.columns} x {first.rows} pixels are more than the "
            f"limit of {max_voxels} voxels"
        )
    slices, affine = _stack(slices)
    try:
        array = np.empty((first.columns, first.rows, len(slices)), np.float32)
    except MemoryError as err:
        raise ResourceError(f"{first.path.name}: the series does not fit the memory") from err
    for index, item in enumerate(slices):
        array[..., index] = _read_slice(item).T
    name = first.path.name if len(slices) == 1 else f"{first.path.name} and {len(slices) - 1} more"
    return replace(new_volume(array, affine), name=name)


def read_film(path: Path, *, voi: bool = False, max_pixels: int = MAX_SLICE_PIXELS) -> ImageData:
    """Read a grey single-frame image such as a radiograph; larger values are brighter, MONOCHROME1 is inverted.

    Without `voi` nothing is lost: stored values, shifted to start at 0, with `max_value` that of the stored bits.

    Args:
        path: the file.
        voi: apply the file's display window or VOI table, where it has one.
        max_pixels: refuse larger images before decoding.

    Raises:
        DataError: no DICOM image, damaged, colour, multi-frame, more than 16 bits, or too large.
        ResourceError: the image does not fit the memory.
    """
    data = read_dataset(path, max_pixels)
    stored = _grey_frame(data, path)
    with translated(path):
        bits = int(data.BitsStored)
        if not 1 <= bits <= 16:
            raise DataError(f"{path.name}: {bits} bits per pixel; expected 1 to 16")
        low = -(2 ** (bits - 1)) if int(data.PixelRepresentation) else 0
        ends = apply_modality_lut(np.array([low, low + 2**bits - 1], stored.dtype), data).astype(np.float64)
        values, top = apply_modality_lut(stored, data), 2**bits - 1
        if voi:
            values = apply_voi_lut(values, data)
            if data.get("VOILUTSequence"):  # its entries are display values already
                top = 2 ** int(data.VOILUTSequence[0].LUTDescriptor[2]) - 1
                ends = np.array([0.0, top])
        dark, bright = float(ends.min()), float(ends.max())
        if not bright > dark or top > 65535:
            raise DataError(f"{path.name}: its rescale or display table is not usable")
        scaled = np.rint((values.astype(np.float64) - dark) * (top / (bright - dark))).clip(0, top)
        if data.PhotometricInterpretation == "MONOCHROME1":
            scaled = top - scaled
    return ImageData(scaled.astype(np.uint8 if top <= 255 else np.uint16), top)


def _as_slices(series: DicomSeries | Sequence[DicomSlice | Path]) -> list[DicomSlice]:
    slices: list[DicomSlice] = []
    for item in series.slices if isinstance(series, DicomSeries) else series:
        if isinstance(item, Path):
            header = read_header(item)
            if header is None:
                raise DataError(f"{item.name}: not a DICOM image; expected one slice per file")
            item = header[1]
        slices.append(item)
    if not slices:
        raise DataError("no slices were given; expected the files of one series")
    return slices


def _require_alike(slices: Sequence[DicomSlice]) -> None:
    """One frame each, placed in space, with one size, orientation and spacing."""
    first = slices[0]
    for item in slices:
        name = item.path.name
        if item.frames != 1:
            raise DataError(
                f"{name}: holds {item.frames} frames; expected one slice per file, split the multi-frame object"
            )
        for tag, value in (
            ("ImagePositionPatient", item.position_mm),
            ("ImageOrientationPatient", item.orientation),
            ("PixelSpacing", item.spacing_mm),
        ):
            if value is None:
                raise DataError(f"{name}: has no {tag}; expected a slice of a scan, not a film or a localizer")
        if (item.rows, item.columns) != (first.rows, first.columns):
            raise DataError(
                f"{name}: {item.columns} x {item.rows} pixels, {first.path.name} has {first.columns} x {first.rows}; "
                "expected one size, split the series"
            )
        if not np.allclose(item.orientation or 0, first.orientation or 0, rtol=0, atol=1e-4):
            raise DataError(
                f"{name}: lies in another direction than {first.path.name}; expected parallel slices, split the series"
            )
        if not np.allclose(item.spacing_mm or 0, first.spacing_mm or 0, rtol=1e-4):
            raise DataError(
                f"{name}: its pixels have another size than those of {first.path.name}; split the series"
            )


def _stack(slices: list[DicomSlice]) -> tuple[list[DicomSlice], NDArray[np.float64]]:
    """The slices in the order of their places, and the affine (4, 4), (column, row, slice) -> mm in RAS+."""
    first = slices[0]
    across, down = np.array(first.orientation, dtype=np.float64).reshape(2, 3)
    if not np.allclose([across @ across, down @ down, across @ down], [1, 1, 0], rtol=0, atol=1e-3):
        raise DataError(f"{first.path.name}: ImageOrientationPatient is not two perpendicular unit vectors")
    row_mm, column_mm = np.array(first.spacing_mm, dtype=np.float64)
    if not (row_mm > 0 and column_mm > 0):
        raise DataError(f"{first.path.name}: PixelSpacing {row_mm:g}, {column_mm:g} mm; expected positive numbers")
    normal = np.cross(across, down)
    normal /= np.linalg.norm(normal)
    places = np.array([item.position_mm for item in slices], dtype=np.float64)
    order = np.argsort(places @ normal, kind="stable")
    slices, places = [slices[i] for i in order], places[order]
    step = _regular_step(slices, places, normal)
    affine = np.eye(4)
    affine[:3] = np.stack([across * column_mm, down * row_mm, step, places[0]], axis=1)
    affine[:2] *= -1  # LPS -> RAS
    return slices, affine


def _regular_step(
    slices: Sequence[DicomSlice], places: NDArray[np.float64], normal: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The vector (3,) from slice to slice, mm, LPS."""
    if len(slices) == 1:
        distance = slices[0].step_mm or slices[0].thickness_mm
        if not (distance and distance > 0):
            raise DataError(f"{slices[0].path.name}: a single slice without SliceThickness has no depth")
        return normal * distance
    steps = np.diff(places @ normal)
    typical = float(np.median(steps))
    allowed = max(_MIN_JITTER_MM, _MAX_JITTER * typical)
    same = int(np.count_nonzero(steps <= min(_MIN_JITTER_MM, 0.5 * typical) if typical > 0 else steps <= 0))
    if same or typical <= _MIN_JITTER_MM:
        at = int(np.argmin(steps))
        raise DataError(
            f"{slices[at].path.name}: lies where {slices[at + 1].path.name} lies, as {max(same, 1)} slices do; "
            "expected one slice per place, remove copies or pass one time point or echo of the series"
        )
    worst = int(np.argmax(np.abs(steps - typical)))
    if abs(steps[worst] - typical) > allowed:
        raise DataError(
            f"{slices[worst].path.name}: {steps[worst]:.4g} mm to the next slice where {typical:.4g} mm are usual; "
            "slices are missing or the series is not one stack"
        )
    step = (places[-1] - places[0]) / (len(slices) - 1)
    if np.linalg.norm(np.cross(step, normal)) > _MAX_SHEAR * np.linalg.norm(step):
        raise DataError(
            f"{slices[0].path.name}: slices are shifted sideways (tilted gantry); resample the series to a box first"
        )
    off = np.abs(places - (places[0] + np.arange(len(slices))[:, None] * step)).max()
    if off > allowed:
        raise DataError(
            f"{slices[0].path.name}: slices lie up to {off:.3g} mm off a straight stack; slices are missing or mixed"
        )
    return step


def _read_slice(item: DicomSlice) -> NDArray[np.float32]:
    data = read_dataset(item.path)
    stored = _grey_frame(data, item.path)
    if stored.shape != (item.rows, item.columns):
        raise DataError(f"{item.path.name}: changed while the series was read")
    with translated(item.path), np.errstate(all="ignore"):  # what overflows is refused below
        values = np.asarray(apply_modality_lut(stored, data)).astype(np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{item.path.name}: its rescale slope and intercept give no finite values")
    return values


def _grey_frame(data: Any, path: Path) -> NDArray[Any]:
    with translated(path):
        kind = str(data.get("PhotometricInterpretation", ""))
        if kind not in ("MONOCHROME1", "MONOCHROME2") or int(data.get("SamplesPerPixel", 1)) != 1:
            raise DataError(f"{path.name}: {kind or 'unknown'} pixels; expected a grey image")
        if int(data.get("NumberOfFrames") or 1) != 1:
            raise DataError(f"{path.name}: holds {data.NumberOfFrames} frames; expected one")
    return decode(data, path)
