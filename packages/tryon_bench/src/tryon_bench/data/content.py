"""What the files of a data set hold: whether a run that is resumed still sees what it began with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from .._shared.errors import DataError
from .._shared.files import sha256_file
from .roles import OPTIONAL_ROLES
from .sample import Dataset, Sample

CONTENT = "content_hash"
_ROLES = ("person", "garment", "reference", *OPTIONAL_ROLES)


def content_hash(samples: Sequence[Sample]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of every file of the rows, role by role; their paths do not count.

    A file that is missing counts as such: who needs it says so.

    Raises:
        DataError: a file cannot be read.
    """
    known = cache(_file_hash)  # many rows share a garment
    total = hashlib.sha256()
    for sample in samples:
        for role in _ROLES:
            path: Path | None = getattr(sample, role)
            total.update(f"{role} {'' if path is None else known(path)}\n".encode())
    return total.hexdigest()[:16]


def identity(dataset: Dataset) -> dict[str, str]:
    """Which rows of what, and what their files hold: what a run that is resumed must find again."""
    return {
        "format": dataset.format,
        "setting": dataset.setting,
        "pairs": dataset.pairs,
        "list_hash": dataset.list_hash,
        CONTENT: content_hash(dataset.samples),
    }


def _file_hash(path: Path) -> str:
    try:
        return sha256_file(path)
    except FileNotFoundError:
        return "missing"
    except OSError as err:
        raise DataError(f"{path.name}: cannot be read ({err.strerror}); check its permissions") from err
