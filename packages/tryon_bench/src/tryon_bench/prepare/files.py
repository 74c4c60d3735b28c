"""Files of the results: each is whole or absent, and its name is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.files import atomic_path, atomic_write, os_error
from .._shared.io.images import write_png
from ..data.keypoints import COCO18_FROM_BODY25
from ..synth.files import mask_image, write_jpeg, write_labels

_MIDDLE_HIP, _HIPS = 8, (9, 12)  # of BODY_25


class OutputFolder:
    """Writes into the folders of one split.

    Args:
        root: the split's folder.

    Attributes:
        written: names relative to `root`, in the order of writing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.written: list[str] = []

    def jpeg(self, folder: str, name: str, image: NDArray[np.uint8]) -> None:
        """A JPEG of quality 95 without chroma subsampling."""
        with atomic_path(self._path(folder, name)) as temporary:
            write_jpeg(temporary, image)

    def png(self, folder: str, name: str, image: NDArray[np.uint8]) -> None:
        """An RGB or gray PNG."""
        write_png(self._path(folder, name), image)

    def mask(self, folder: str, name: str, mask: NDArray[np.bool_]) -> None:
        """A mask, white inside; JPEG where the name says so."""
        (self.jpeg if name.endswith(".jpg") else self.png)(folder, name, mask_image(mask))

    def labels(self, folder: str, name: str, labels: NDArray[np.uint8]) -> None:
        """Label ids as a palette PNG."""
        with atomic_path(self._path(folder, name)) as temporary:
            write_labels(temporary, labels)

    def keypoints(self, folder: str, name: str, joints: NDArray[np.float64]) -> None:
        """(18, 3) COCO-18 as OpenPose's BODY_25, the middle of the hips computed, feet missing."""
        points = np.zeros((25, 3))
        points[COCO18_FROM_BODY25] = np.nan_to_num(joints)
        if (points[list(_HIPS), 2] > 0).all():
            points[_MIDDLE_HIP] = points[list(_HIPS)].mean(axis=0)
        numbers = [round(float(value), 3) for value in points.ravel()]
        content = {"version": 1.3, "people": [{"pose_keypoints_2d": numbers}]}
        atomic_write(self._path(folder, name), json.dumps(content))

    def _path(self, folder: str, name: str) -> Path:
        path = self.root / folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise os_error(err, path.parent) from err
        self.written.append(f"{folder}/{name}")
        return path
