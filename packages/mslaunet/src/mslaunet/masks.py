"""2-D mask files of one folder: what their pixel values mean is decided once, not file by file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ._shared.errors import DataError
from ._shared.io.images import read_mask

MaskKind = Literal["auto", "binary", "labels"]


class MaskReader:
    """Reads masks as label ids.

    "binary": thresholded at half range, so 0/1, 0/255 and soft edges become 0/1. "labels": pixel values are label
    ids. "auto": the first file that tells decides for all; a later one that contradicts it is an error, because a
    folder in which one file is binary and the next holds ids would give numbers that mean nothing.
    """

    def __init__(self, kind: MaskKind = "auto") -> None:
        self.kind = kind
        self._found: MaskKind = "auto"
        self._found_in = ""

    def read(self, path: Path) -> np.ndarray:
        """Label ids (H, W).

        Raises:
            DataError: the file is damaged, no mask, or contradicts the ones before.
        """
        if self.kind == "binary":
            return read_mask(path, binary=True).array
        values = read_mask(path, binary=False).array
        top = int(values.max(initial=0))
        if self.kind == "labels" or top <= 1:  # 0 and 1 mean the same either way
            return values
        self._agree("binary" if top == 255 else "labels", path.name)
        return read_mask(path, binary=True).array if top == 255 else values

    def _agree(self, found: MaskKind, name: str) -> None:
        if self._found == "auto":
            self._found, self._found_in = found, name
        elif found != self._found:
            raise DataError(
                f"{name}: looks {'binary (0 and 255)' if found == 'binary' else 'like label ids'}, {self._found_in} "
                "does not; say which with --masks binary or --masks labels"
            )
