"""One checked DICOM file: its header without identifiers, its pixels as stored.

The only caller of `pydicom.dcmread`. Sizes are compared before a codec sees the data, so a damaged or hostile file
costs neither time nor memory. Names, dates and identifiers of a patient are never kept.
"""

from __future__ import annotations

import logging
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset as read_dataset_of
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGExtended12Bit, MediaStorageDirectoryStorage

from ..errors import DataError, ResourceError
from .bounded import BoundedReader
from .dicom_worker import DECODER

MAX_SLICE_PIXELS = 64_000_000
_MAX_INFLATED = 2**30  # bytes; a deflated file is inflated as a whole
_TAGS = (
    *("SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality", "SeriesDescription", "SeriesNumber"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "ImageType", "InstanceNumber"),
    *("AcquisitionNumber", "AcquisitionTime", "AcquisitionDateTime", "ContentTime", "SeriesTime", "TriggerTime"),
    *("TemporalPositionIdentifier", "EchoTime", "ContrastBolusStartTime", "ImagePositionPatient"),
    *("ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("FrameOfReferenceUID", "MRAcquisitionType", "DiffusionBValue", "Manufacturer", "MagneticFieldStrength"),
)
_READABLE_KINDS = (b"\x08\x00", b"\x02\x00")  # the first group of a file without preamble
T = TypeVar("T")


@dataclass(frozen=True)
class DicomSlice:
    """What is needed of one file's header to place it in space and time; no identifier of the patient.

    Times are seconds since midnight, without their date; what the file does not say is None.

    Attributes:
        path: the file.
        rows: pixels down.
        columns: pixels across.
        frames: images in the file, 1 for classic objects.
        position_mm: (3,) centre of the first pixel, DICOM's patient axes (LPS).
        orientation: (6,) direction of growing column index, then of growing row index (LPS).
        spacing_mm: (2,) distance of rows, distance of columns.
        step_mm: SpacingBetweenSlices; may be wrong, positions decide.
        thickness_mm: SliceThickness, which is not the distance of slices.
        instance_number: number of the image within the series.
        acquisition_number: number of the acquisition.
        temporal_position: TemporalPositionIdentifier, from 1.
        acquisition_s: AcquisitionTime, or the time in AcquisitionDateTime.
        content_s: ContentTime.
        trigger_ms: TriggerTime; for DCE series of some makers the time since the first phase.
        contrast_s: ContrastBolusStartTime.
        echo_ms: EchoTime.
        image_type: values of ImageType, e.g. ("ORIGINAL", "PRIMARY", "AXIAL").
        frame_uid: FrameOfReferenceUID; equal where positions of two series can be compared.
        acquisition_type: MRAcquisitionType, "2D" or "3D".
        b_value: DiffusionBValue, s/mm2.
        maker: Manufacturer.
        field_t: MagneticFieldStrength, tesla.
    """

    path: Path
    rows: int
    columns: int
    frames: int = 1
    position_mm: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None
    step_mm: float | None = None
    thickness_mm: float | None = None
    instance_number: int | None = None
    acquisition_number: int | None = None
    temporal_position: int | None = None
    acquisition_s: float | None = None
    content_s: float | None = None
    trigger_ms: float | None = None
    contrast_s: float | None = None
    echo_ms: float | None = None
    image_type: tuple[str, ...] = ()
    frame_uid: str = field(default="", repr=False)
    acquisition_type: str = ""
    b_value: float | None = None
    maker: str = ""
    field_t: float | None = None


@dataclass(frozen=True)
class SeriesTags:
    """What all files of a series share; `repr` shows neither UIDs nor free text."""

    uid: str
    study_uid: str
    modality: str
    description: str
    number: int | None
    series_s: float | None


def read_header(path: Path) -> tuple[SeriesTags, DicomSlice] | None:
    """Header of an image file; None for other files, and for DICOM objects without image.

    Raises:
        DataError: it is DICOM, but damaged or unreadable.
    """
    with translated(path):
        if not _is_dicom(path):
            return None
        try:
            header = _read(path, pixels=False)
        except Exception:
            if _has_preamble(path):
                raise
            return None  # two bytes looked like DICOM's first group, and nothing else did
        if "Rows" not in header or "Columns" not in header:
            _require_no_image(header, path)
            return None
        tags = SeriesTags(
            uid=str(header.get("SeriesInstanceUID") or ""),
            study_uid=str(header.get("StudyInstanceUID") or ""),
            modality=str(header.get("Modality") or ""),
            description=str(header.get("SeriesDescription") or ""),
            number=_one(header, "SeriesNumber", int),
            series_s=_one(header, "SeriesTime", _seconds),
        )
        return tags, _slice(path, header)


def read_dataset(path: Path, max_pixels: int = MAX_SLICE_PIXELS) -> pydicom.Dataset:
    """The whole data set of one image file, with its sizes checked and its pixels not yet decoded.

    Raises:
        DataError: not DICOM, damaged, without pixels, larger than `max_pixels`, or a codec's own size differs.
    """
    with translated(path):
        if not _is_dicom(path):
            raise DataError(f"{path.name}: not a DICOM file; expected an image exported by a scanner or PACS")
        data = _read(path, pixels=True)
        if "PixelData" not in data:
            raise DataError(f"{path.name}: holds no pixels; expected an image, not a report, plan or segment")
        rows, columns = int(data.Rows), int(data.Columns)
        frames, samples = _one(data, "NumberOfFrames", int) or 1, _one(data, "SamplesPerPixel", int) or 1
        if not (rows > 0 and columns > 0 and frames > 0) or rows * columns * frames * samples > max_pixels:
            raise DataError(
                f"{path.name}: {frames} frames of {columns} x {rows} pixels with {samples} samples; expected "
                f"at most {max_pixels} values"
            )
        if data.file_meta.TransferSyntaxUID.is_encapsulated:
            _require_codec_size(data, rows, columns, path.name)
        return data


def decode(data: pydicom.Dataset, path: Path) -> NDArray[Any]:
    """Stored pixel values (frames, rows, columns, samples), axes of length 1 dropped, by whatever codec they need.

    Codecs that only GDCM has run in a process of their own: it aborts on some damaged streams.

    Raises:
        DataError: the pixels are truncated or damaged.
    """
    with translated(path):
        if _needs_gdcm(data):
            return DECODER.decode(path, data.Rows * data.Columns * (_one(data, "NumberOfFrames", int) or 1) * 4)
        return decode_here(data, path)


def decode_here(data: pydicom.Dataset, path: Path) -> NDArray[Any]:
    """As `decode`, in this process; with GDCM a damaged stream may end it.

    Raises:
        DataError: the pixels are truncated or damaged.
    """
    with translated(path):
        if _is_12_bit(data):
            return _jpeg_12_bit(data, path)
        return pixel_array(data, decoding_plugin="pillow" if "pillow" in _plugins(data) else "")


def _needs_gdcm(data: pydicom.Dataset) -> bool:
    plugins = _plugins(data)
    return _is_12_bit(data) or ("gdcm" in plugins and not {"pillow", "pydicom"} & set(plugins))


def _is_12_bit(data: pydicom.Dataset) -> bool:
    return data.file_meta.TransferSyntaxUID == JPEGExtended12Bit and int(data.BitsStored) > 8


def _plugins(data: pydicom.Dataset) -> tuple[str, ...]:
    """Decoders that are there; Pillow's are preferred, their pixels are the same and they never abort."""
    syntax = data.file_meta.TransferSyntaxUID
    return get_decoder(syntax).available_plugins if syntax.is_encapsulated else ()


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The one place where the exceptions of pydicom, of codecs and of the file system become ours."""
    log = logging.getLogger("pydicom")
    level = log.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values, which may name a patient
            log.setLevel(logging.CRITICAL + 1)  # likewise, and traces of codecs that were tried
            yield
    except DataError:
        raise
    except MemoryError as err:
        raise ResourceError(f"{path.name}: the image does not fit the memory") from err
    except OSError as err:
        reason = err.strerror or "damaged or truncated file"
        raise DataError(f"{path.name}: cannot be read ({reason}); check the path and the file") from err
    except Exception as err:  # pydicom and its codecs raise whatever a damaged element leads to
        raise DataError(
            f"{path.name}: damaged DICOM ({type(err).__name__}); export it again from the scanner or PACS"
        ) from err
    finally:
        log.setLevel(level)


def _jpeg_12_bit(data: pydicom.Dataset, path: Path) -> NDArray[Any]:
    """One frame by GDCM itself: pydicom 3.0 has no decoder for it and refuses to ask GDCM, which can."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    shape, size = (int(data.Rows), int(data.Columns)), int(data.Rows) * int(data.Columns) * 2
    if int(data.get("NumberOfFrames") or 1) != 1 or not reader.Read():
        raise DataError(f"{path.name}: its JPEG (12 bit) cannot be decoded; convert it to a lossless form")
    buffer = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    if len(buffer) != size:
        raise DataError(f"{path.name}: its JPEG (12 bit) holds {len(buffer)} bytes of pixels; expected {size}")
    return np.frombuffer(buffer, "<i2" if int(data.PixelRepresentation) else "<u2").reshape(shape)


def _require_no_image(header: pydicom.Dataset, path: Path) -> None:
    """Tell a report, a plan or a directory, which have no rows, from an image whose header was cut off."""
    if not _has_preamble(path):
        return
    kind = UID(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or "")
    if kind == MediaStorageDirectoryStorage or (header.get("SOPClassUID") and "Image Storage" not in kind.name):
        return
    raise DataError(f"{path.name}: its header says neither rows nor columns; truncated? export it again")


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4)
    # Old archives leave out the preamble; the first element of an image is then in group 0008 or 0002.
    return _has_preamble(path) or (len(head) == 4 and head[:2] in _READABLE_KINDS)


def _has_preamble(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _read(path: Path, *, pixels: bool) -> pydicom.Dataset:
    wanted = None if pixels else list(_TAGS)
    with BoundedReader(path) as file:
        file.seek(128)
        if file.read(4) == b"DICM":
            _require_inflatable(file, path.name)
        file.seek(0)
        data = pydicom.dcmread(file, stop_before_pixels=not pixels, specific_tags=wanted, force=True)
    if "TransferSyntaxUID" not in data.file_meta:
        implicit, little = data.original_encoding
        data.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2{'' if implicit else '.1' if little else '.2'}")
    return data


def _require_inflatable(file: BoundedReader, name: str) -> None:
    """Refuse a deflated file that is a bomb; pydicom inflates it as a whole."""
    meta = read_dataset_of(file, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    if len(zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), _MAX_INFLATED)) >= _MAX_INFLATED:
        raise DataError(f"{name}: inflates to more than {_MAX_INFLATED} bytes; it is no image")


def _slice(path: Path, header: pydicom.Dataset) -> DicomSlice:
    def numbers(keyword: str, count: int) -> tuple[float, ...] | None:
        value = header.get(keyword)
        if value is None or value == "":
            return None
        found = tuple(float(v) for v in (value if isinstance(value, pydicom.multival.MultiValue) else [value]))
        if len(found) != count or not np.isfinite(found).all():
            raise DataError(f"{path.name}: {keyword} has {len(found)} values; expected {count} finite numbers")
        return found

    acquired = _one(header, "AcquisitionTime", _seconds)
    if acquired is None:
        acquired = _one(header, "AcquisitionDateTime", lambda value: _seconds(str(value)[8:]))
    return DicomSlice(
        path=path,
        rows=int(header.Rows),
        columns=int(header.Columns),
        frames=_one(header, "NumberOfFrames", int) or 1,
        position_mm=numbers("ImagePositionPatient", 3),
        orientation=numbers("ImageOrientationPatient", 6),
        spacing_mm=numbers("PixelSpacing", 2),
        step_mm=_one(header, "SpacingBetweenSlices", float),
        thickness_mm=_one(header, "SliceThickness", float),
        instance_number=_one(header, "InstanceNumber", int),
        acquisition_number=_one(header, "AcquisitionNumber", int),
        temporal_position=_one(header, "TemporalPositionIdentifier", int),
        acquisition_s=acquired,
        content_s=_one(header, "ContentTime", _seconds),
        trigger_ms=_one(header, "TriggerTime", float),
        contrast_s=_one(header, "ContrastBolusStartTime", _seconds),
        echo_ms=_one(header, "EchoTime", float),
        image_type=tuple(str(v) for v in header.get("ImageType") or ()),
        frame_uid=str(header.get("FrameOfReferenceUID") or ""),
        acquisition_type=str(header.get("MRAcquisitionType") or ""),
        b_value=_one(header, "DiffusionBValue", float),
        maker=str(header.get("Manufacturer") or ""),
        field_t=_one(header, "MagneticFieldStrength", float),
    )


def _one(header: pydicom.Dataset, keyword: str, convert: Callable[[Any], T]) -> T | None:
    """The value of an element; None where it is absent or empty, the first of several."""
    value = header.get(keyword)
    if isinstance(value, pydicom.multival.MultiValue):
        value = value[0] if len(value) else None
    return None if value is None or str(value) == "" else convert(value)


def _seconds(value: object) -> float:
    """Seconds since midnight of a DICOM time HHMMSS.FFFFFF; minutes and seconds may be missing, colons are dropped.

    Example:
        >>> _seconds("101530.250"), _seconds("10")
        (36930.25, 36000.0)
    """
    text = str(value).replace(":", "").strip()
    text = text.partition("+")[0].partition("-")[0]  # a time zone
    whole, _, fraction = text.partition(".")
    hours, minutes, seconds = (int(part or 0) for part in (whole[:2], whole[2:4], whole[4:6]))
    return hours * 3600 + minutes * 60 + seconds + float(f"0.{fraction or 0}")


def _require_codec_size(data: pydicom.Dataset, rows: int, columns: int, name: str) -> None:
    """Compare the header's size with the codestream's before a decoder allocates what the latter claims."""
    frames = generate_frames(data.PixelData, number_of_frames=_one(data, "NumberOfFrames", int) or 1)
    size = _codestream_size(next(frames))
    if size is not None and size != (rows, columns):
        raise DataError(f"{name}: the header says {columns} x {rows} pixels, its image {size[1]} x {size[0]}")


def _codestream_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 frame; None for others (RLE says nothing)."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start >= 0:  # JPEG 2000: Xsiz, Ysiz and their offsets follow Lsiz and Rsiz
        right, bottom, left, top = np.frombuffer(frame[start + 8 : start + 24], ">u4").tolist()
        return bottom - top, right - left
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return int.from_bytes(frame[at + 5 : at + 7]), int.from_bytes(frame[at + 7 : at + 9])
        at += 2 + int.from_bytes(frame[at + 2 : at + 4])
    return None
