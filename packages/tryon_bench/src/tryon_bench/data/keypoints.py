"""Body joints from OpenPose's and DressCode's JSON, brought to COCO-18 and pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError

COCO18 = (
    *("nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist"),
    *("right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle"),
    *("right eye", "left eye", "right ear", "left ear"),
)
# BODY_25 has a middle hip at 8, so everything behind it moves by one
COCO18_FROM_BODY25 = [*range(8), *range(9, 19)]
DRESSCODE_CANVAS = (512, 384)  # (height, width), px, whatever the size of its photos


def read_keypoints(path: Path, size: tuple[int, int]) -> NDArray[np.float64]:
    """Joints of the first person.

    The layout is told by what is there: `people[0]` with `pose_keypoints_2d` or the older `pose_keypoints`, 75 or 54
    numbers, 50 or 36 without confidence (OOTDiffusion); or DressCode's `keypoints`, which are scaled from its canvas.

    Args:
        path: JSON file.
        size: (height, width) of the photo, px.

    Returns:
        (18, 3): x and y in px and confidence, COCO-18; x and y are NaN where a joint is missing.

    Raises:
        DataError: unreadable, nobody in it, or a number of values that is none of the known ones.
    """
    points = _rows(path, _read(path))
    if len(points) == 25:
        points = points[COCO18_FROM_BODY25]
    missing = ~np.any(points[:, :2] > 0, axis=1) | ~np.all(np.isfinite(points), axis=1)
    points = points.copy()
    points[missing] = [np.nan, np.nan, 0.0]
    if _is_dresscode(path):
        points[:, :2] *= [size[1] / DRESSCODE_CANVAS[1], size[0] / DRESSCODE_CANVAS[0]]
    return points


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise DataError(f"{path.name}: cannot be read ({err.strerror}); check the path") from err
    except (ValueError, RecursionError) as err:
        raise DataError(f"{path.name}: not JSON; expected keypoints of OpenPose or DressCode") from err
    if not isinstance(content, dict):
        raise DataError(f"{path.name}: expected an object with 'people' or 'keypoints'")
    return content


def _rows(path: Path, content: dict[str, Any]) -> NDArray[np.float64]:
    """(n, 3) x, y, confidence, n 18 or 25."""
    if "keypoints" in content:
        values, columns = content["keypoints"], None
    else:
        people = content.get("people")
        if not isinstance(people, list) or not people or not isinstance(people[0], dict):
            raise DataError(f"{path.name}: no person in it; expected people[0] with pose_keypoints_2d")
        values, columns = people[0].get("pose_keypoints_2d", people[0].get("pose_keypoints")), 3
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise DataError(f"{path.name}: keypoints are no table of numbers") from err
    if numbers.ndim == 1:
        numbers = _folded(path, numbers, columns)
    if numbers.ndim != 2 or numbers.shape[0] not in (18, 25) or numbers.shape[1] not in (2, 3, 4):
        raise DataError(f"{path.name}: {numbers.shape} keypoints; expected 18 or 25 with 2, 3 or 4 numbers each")
    if numbers.shape[1] == 2:
        numbers = np.concatenate([numbers, np.ones((len(numbers), 1))], axis=1)
    return numbers[:, :3]


def _folded(path: Path, numbers: NDArray[np.float64], columns: int | None) -> NDArray[np.float64]:
    by_count = {75: 3, 54: 3, 50: 2, 36: 2, 72: 4}
    width = by_count.get(len(numbers), columns)
    if width is None or len(numbers) not in by_count:
        raise DataError(
            f"{path.name}: {len(numbers)} numbers; expected 75, 54, 50, 36 (or 72 in DressCode's form)"
        )
    return numbers.reshape(-1, width)


def _is_dresscode(path: Path) -> bool:
    """DressCode's rows have a fourth number, the joint's id; OOTDiffusion's `keypoints` have two, in pixels."""
    values = _read(path).get("keypoints")
    return isinstance(values, list) and (
        len(values) == 72 or (bool(values) and len(np.atleast_1d(values[0])) == 4)
    )
