"""Every image is decoded once: facts of its file, a hash of its bytes and its thumbnail, or the reason why not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError, ResourceError
from .._shared.io.images import read_image
from ..data.stored import Stored, stored

_SIDE = 16
_BLOCK_ROWS = 512
_THREADS = 4  # Pillow decodes outside of the interpreter's lock


@dataclass(frozen=True, eq=False)
class Looked:
    """What one file is.

    Attributes:
        path: the file.
        problem: why it cannot be decoded, "" if it can.
        facts: how it is stored; None where not even the header is readable.
        sha256: of its bytes; "" for a missing file.
        look: thumbnail; None where there is no image.
    """

    path: Path
    problem: str = ""
    facts: Stored | None = None
    sha256: str = ""
    look: NDArray[np.uint8] | None = None


def look_at(paths: Iterable[Path]) -> dict[Path, Looked]:
    """Look at all files; a damaged one costs none of the others."""
    unique = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(unique, pool.map(_look, unique), strict=True))


def _look(path: Path) -> Looked:
    if not path.is_file():
        return Looked(path, f"{path.name}: no such file")
    digest, facts = "", None
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        facts = stored(path)
        array = read_image(path, alpha="drop").array
    except (DataError, ResourceError) as err:
        return Looked(path, str(err), facts, digest)
    except OSError as err:
        return Looked(path, f"{path.name}: cannot be read ({err.strerror}); check the permissions", facts, digest)
    return Looked(path, "", facts, digest, thumbnail(array))


def thumbnail(image: NDArray[np.uint8 | np.uint16]) -> NDArray[np.uint8]:
    """(16, 16, 3): means of blocks, hardly changed by recompression and resizing."""
    from PIL import Image

    grey_or_colour = image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8)
    small = Image.fromarray(grey_or_colour).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small.convert("RGB"))


def alike(thumbnails: NDArray[np.uint8], limit: float = 2.0) -> list[tuple[int, int]]:
    """Pairs i < j of thumbnails whose root mean square difference is below a limit in grey levels.

    Memory is linear in the number of images: rows are compared in blocks.
    """
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float64)
    squares = (flat**2).sum(axis=1)
    pairs = []
    for start in range(0, len(flat), _BLOCK_ROWS):
        block = flat[start : start + _BLOCK_ROWS]
        distance = squares[start : start + _BLOCK_ROWS, None] + squares[None, :] - 2 * block @ flat.T
        near = np.argwhere(distance < limit**2 * flat.shape[1])
        pairs += [(start + int(i), int(j)) for i, j in near if start + i < j]
    return pairs
