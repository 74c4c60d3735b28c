"""Results in a Parquet file: one row per image, its bytes in a column, as Hugging Face's `datasets` writes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from .._shared.errors import DataError
from .._shared.io.images import read_header

_IMAGES = ("image", "prediction", "result", "bytes")
_NAMES = ("pair_id", "file_name", "filename", "name", "id", "path")
_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif", "BMP": ".bmp", "WEBP": ".webp"}


def unpack_parquet(source: Path, target: Path) -> Path:
    """Write the images of a Parquet file into a folder, byte by byte as they are stored.

    The image column is called image, prediction, result or bytes and holds bytes, or a struct with `bytes` and `path`;
    names come from a column pair_id, file_name, filename, name, id or path, or else from the struct's `path`.

    Returns:
        `target`, which holds nothing else.

    Raises:
        DataError: damaged, no such columns, a row without image or name, a name twice, or bytes that are no image.
    """
    from pyarrow import ArrowException, parquet

    if target.exists():
        shutil.rmtree(target)  # of an earlier registration of this name
    target.mkdir(parents=True)
    try:
        file = parquet.ParquetFile(source)
        image, name = _columns(source, file.schema_arrow.names)
        wanted = [column for column in (image, name) if column]
        for number, row in enumerate(_rows(file, wanted), start=1):
            _write(source, number, row[image], row.get(name or ""), target)
    except (ArrowException, OSError) as err:
        raise DataError(f"{source.name}: not a readable Parquet file; get it again") from err
    return target


def _columns(source: Path, names: list[str]) -> tuple[str, str | None]:
    image = next((column for column in _IMAGES if column in names), None)
    if image is None:
        raise DataError(
            f"{source.name}: no image column among {', '.join(names)[:200]}; expected {', '.join(_IMAGES)}"
        )
    return image, next((column for column in _NAMES if column in names), None)


def _rows(file: Any, columns: list[str]) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=32, columns=columns):
        yield from batch.to_pylist()


def _write(source: Path, number: int, image: Any, name: Any, target: Path) -> None:
    data = image.get("bytes") if isinstance(image, dict) else image
    name = name if name is not None else image.get("path") if isinstance(image, dict) else None
    stem = PurePosixPath(str(name or "").replace("\\", "/")).name
    if not isinstance(data, bytes) or not stem or stem.startswith("."):
        raise DataError(f"{source.name}: row {number} has no image or no name; expected bytes and a file name")
    header = read_header(data, name=f"{source.name}: row {number}")
    if PurePosixPath(stem).suffix.lower() in (*_SUFFIXES.values(), ".jpeg", ".tiff"):
        stem = PurePosixPath(stem).stem
    path = target / f"{stem}{_SUFFIXES[header.format]}"
    if path.exists():
        raise DataError(f"{source.name}: row {number} repeats the name of an earlier one; names must differ")
    path.write_bytes(data)
