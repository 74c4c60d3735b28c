"""Volumes inside a parquet file, as the hub form of ODELIA stores them: one row per breast, arrays as nested lists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .._shared.errors import DataError
from .._shared.io.volumes import Volume, new_volume


def parquet_table(path: Path) -> list[dict[str, Any]]:
    """The columns of a parquet file that hold no image, row by row; `images` lists the image columns that are filled.

    Raises:
        DataError: not a parquet file.
    """
    with _translated(path):
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        images = [name for name in names if name.startswith("Image_")]
        plain = [name for name in names if not name.startswith(("Image_", "Affine_"))]
        rows = file.read(columns=plain).to_pylist()
        for name in images:
            filled = file.read(columns=[name]).column(0).is_valid().to_pylist()
            for row, there in zip(rows, filled, strict=True):
                if there:
                    row.setdefault("images", []).append(name.removeprefix("Image_"))
        return rows


def read_parquet_phase(path: Path, part: str) -> Volume:
    """One image of a row.

    Args:
        path: the parquet file.
        part: "row/name", such as "3/Post_1".

    Raises:
        DataError: not there, damaged, or not a volume with its affine.
    """
    number, _, name = part.partition("/")
    with _translated(path):
        table = pq.ParquetFile(path).read(columns=[f"Image_{name}", f"Affine_{name}"])
        if not number.isdigit() or int(number) >= table.num_rows:
            raise DataError(f"{path.name}: no row {number}; it has {table.num_rows}")
        row = table.slice(int(number), 1)
        array, affine = (_nested(row.column(i).combine_chunks()) for i in range(2))
        while array.ndim > 3 and array.shape[0] == 1:  # (1, x, y, z): one channel, as TorchIO stores a tensor
            array = array[0]
        if not np.isfinite(array).all():
            raise DataError(f"{path.name}: {name} of row {number} holds NaN or infinite voxels; repair the file")
        volume = new_volume(array.astype(np.float32), affine.astype(float))
    return replace(volume, name=f"{path.name}, {name}")


def _nested(column: pa.Array) -> np.ndarray:
    """A column of one row with nested lists of equal lengths -> an array."""
    shape = []
    values = column
    while pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        lengths = set(values.value_lengths().to_pylist())
        if len(lengths) != 1 or None in lengths:
            raise ValueError("ragged or empty")
        shape.append(lengths.pop())
        values = values.flatten()
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(shape[0:])


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """The one place where the exceptions of pyarrow become ours."""
    try:
        yield
    except OSError as err:
        raise DataError(f"{path.name}: cannot be read; expected a parquet file") from err
    except (pa.ArrowException, KeyError, IndexError, ValueError) as err:
        raise DataError(f"{path.name}: damaged, or not a table of volumes and affines") from err
