"""Writers of single files that synthetic data sets are made of."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._shared.files import atomic_path, atomic_write


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table with the columns of its first row, gzipped where the name ends in .gz."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = stream.getvalue().encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def write_text(path: Path, text: str) -> None:
    """Write a text file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, text)


def write_jpeg(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a grey JPEG and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary, format="JPEG", quality=92)


def write_film(path: Path, image: NDArray[np.uint8], *, inverted: bool = False) -> None:
    """Write an uncompressed 8-bit DICOM film; `inverted` stores it as MONOCHROME1."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    uid = generate_uid(entropy_srcs=["quartet-synth", path.stem])
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    film.file_meta.MediaStorageSOPInstanceUID = uid
    film.SOPClassUID, film.SOPInstanceUID = DigitalXRayImageStorageForPresentation, uid
    film.Modality, film.ViewPosition, film.BodyPartExamined = "DX", "PA", "CHEST"
    film.Rows, film.Columns = image.shape
    film.BitsAllocated, film.BitsStored, film.HighBit = 8, 8, 7
    film.SamplesPerPixel, film.PixelRepresentation = 1, 0
    film.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    pixels = np.ascontiguousarray(255 - image if inverted else image).tobytes()
    film.PixelData = pixels + bytes(len(pixels) % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        film.save_as(temporary, enforce_file_format=True)
