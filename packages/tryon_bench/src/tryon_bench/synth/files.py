"""Files as the original data sets store them: JPEG photos, palette label maps, pose JSON.

They are written plainly, into a folder that takes its name when all are there: syncing each of them to the disk would
take longer than drawing it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.keypoints import COCO18_FROM_BODY25
from .figures import Figure


def write_jpeg(path: Path, array: NDArray[np.uint8], quality: int = 95) -> None:
    """Write a JPEG without chroma subsampling."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, format="JPEG", quality=quality, subsampling=0)


def write_png(path: Path, array: NDArray[np.uint8]) -> None:
    """Write a gray or RGB PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, format="PNG", compress_level=1)


def write_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write label ids as a palette PNG, as parsers do: colours for the eye, indices for the reader."""
    image = Image.fromarray(labels)
    image.putpalette(label_colours().tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, format="PNG")


def label_colours() -> NDArray[np.uint8]:
    """(256, 3): the colours of PASCAL VOC, in which parsers store their maps: the bits of an id in turn, 0 is black."""
    ids, colours = np.arange(256), np.zeros((256, 3), int)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (ids >> (3 * bit + channel) & 1) << (7 - bit)
    return colours.astype(np.uint8)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def mask_image(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """0 and 255."""
    return mask.astype(np.uint8) * 255


def body25(figure: Figure) -> NDArray[np.float64]:
    """(25, 3): x, y, confidence; a hidden joint is (0, 0, 0), as OpenPose writes it."""
    points = np.concatenate([figure.joints, np.full((25, 1), 0.9)], axis=1)
    points[list(figure.hidden)] = 0
    return points


def write_openpose(path: Path, figure: Figure) -> None:
    """BODY_25 JSON of today's OpenPose: 75 numbers in `pose_keypoints_2d`."""
    _write_people(path, "pose_keypoints_2d", body25(figure), 1.3)


def write_openpose_18(path: Path, figure: Figure) -> None:
    """COCO-18 JSON of the OpenPose of VITON: 54 numbers in `pose_keypoints`."""
    _write_people(path, "pose_keypoints", body25(figure)[COCO18_FROM_BODY25], 1.0)


def write_dresscode_pose(path: Path, figure: Figure) -> None:
    """DressCode's JSON: 18 rows x, y, score, id on a canvas of 384 x 512."""
    points = body25(figure)[COCO18_FROM_BODY25]
    height, width = figure.size
    points[:, :2] *= [384 / width, 512 / height]
    rows = [[*map(float, row), float(index if row[2] else -1)] for index, row in enumerate(points)]
    _write_json(path, {"keypoints": rows})


def _write_people(path: Path, key: str, points: NDArray[np.float64], version: float) -> None:
    numbers = [round(float(value), 3) for value in points.ravel()]
    _write_json(path, {"version": version, "people": [{key: numbers}]})


def _write_json(path: Path, content: object) -> None:
    write_text(path, json.dumps(content))
