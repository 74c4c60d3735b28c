"""Label maps as DICOM SEG objects that refer to the series they were made from.

A SEG carries patient and study of its source, as the standard demands: it is filed in the PACS beside the series.
Nothing else that this package writes does.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.errors import DataError
from .._shared.files import atomic_path
from .._shared.io.dicom_file import read_dataset, translated
from .._shared.io.volumes import Volume, in_source_axes

_MAX_VALUES = 2**31  # frames x rows x columns of all segments, when it is read back


def write_dicom_seg(
    target: Path, labels: np.ndarray, volume: Volume, files: Sequence[Path], classes: Mapping[int, str]
) -> None:
    """Write label ids (X, Y, Z) of a series as one binary segment per class, and read them back.

    Args:
        target: ends in `.dcm`.
        labels: canonical, as `volume.array`.
        volume: the series as `read_series` gave it.
        files: its files, in any order.
        classes: label id to name; 0 is background and no segment.

    Raises:
        DataError: the source lacks what a SEG must repeat, or the object does not come back as it was meant.
        ResourceError: the file cannot be written.
    """
    sources = _by_position([read_dataset(path) for path in files])
    for data in sources:
        if not data.get("SliceThickness"):  # may be empty by the standard, and a SEG must say it
            data.SliceThickness = float(np.linalg.norm(volume.source.affine[:3, 2]))
    frames = np.ascontiguousarray(in_source_axes(labels, volume).transpose(2, 1, 0)).astype(np.uint8)
    present = {label: name for label, name in classes.items() if label > 0}
    if max(present) > 255:
        raise DataError(f"{target.name}: {len(present)} classes; a SEG is written for up to 255, use NIfTI")
    with atomic_path(target) as temporary, silent():
        target.parent.mkdir(parents=True, exist_ok=True)
        _build(sources, frames, present, target.name).save_as(temporary)
    if not np.array_equal(_read_back(target, sources, frames.shape), frames):
        target.unlink()
        raise DataError(f"{target.name}: the SEG reads back differently from what was predicted; nothing was kept")


@contextmanager
def silent() -> Iterator[None]:
    """No warnings: those of highdicom and pydicom quote values, which may name a patient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _by_position(sources: list[Any]) -> list[Any]:
    """Data sets in the order in which `read_series` stacks them."""
    across, down = np.array(sources[0].ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(across, down)
    return sorted(sources, key=lambda data: float(np.array(data.ImagePositionPatient, float) @ normal))


def _build(sources: list[Any], frames: np.ndarray, classes: Mapping[int, str], name: str) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="MSLAU-Net", family=codes.DCM.ArtificialIntelligence, version=version("mslaunet")
    )
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=label,
            segment_label=text[:64],
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=codes.SCT.AnatomicalStructure,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
        )
        for label, text in classes.items()
    ]
    try:
        return highdicom.seg.Segmentation(
            source_images=sources,
            pixel_array=frames,
            segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
            series_instance_uid=highdicom.UID(),
            series_number=900,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="mslaunet",
            manufacturer_model_name="MSLAU-Net",
            software_versions=version("mslaunet"),
            device_serial_number="none",
        )
    except (AttributeError, KeyError, TypeError, ValueError) as err:  # what highdicom raises for a missing element
        element = getattr(err, "name", None) or type(err).__name__  # a keyword of the standard, never a value
        raise DataError(
            f"{name}: the source series lacks or garbles an element that a SEG must repeat ({element}); write NIfTI "
            "instead (--format auto)"
        ) from err


def _read_back(target: Path, sources: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
    import highdicom

    with translated(target):
        again = highdicom.seg.Segmentation.from_dataset(read_dataset(target, _MAX_VALUES), copy=False)
        pixels = again.get_pixels_by_source_instance(
            [str(data.SOPInstanceUID) for data in sources],
            combine_segments=True,
            ignore_spatial_locations=False,
            assert_missing_frames_are_empty=True,
        )
        return np.asarray(pixels).reshape(shape)
