"""Joints that recipes can rely on: the neck, shoulders and hips are completed, and what is missing is NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from .canvas import Point, known

NOSE, NECK = 0, 1
RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST = 2, 3, 4
LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST = 5, 6, 7
RIGHT_HIP, LEFT_HIP = 8, 11
ARMS = ((RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST), (LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST))

_TORSO = (
    1.5  # shoulder line to hip line over shoulder width; measured on nobody, a usual proportion of drawing books
)


def completed(pose: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
    """Joints with neck, shoulders and hips in place, although the detector has missed some.

    A missing neck is the middle of the shoulders, a missing shoulder mirrors the other one at the neck; a missing hip
    lies as far from the other one as the shoulders from each other, two missing ones below the shoulders at 1.5 times
    their distance (our choice: the published programs draw lines to (0, 0), the corner of the photo).

    Args:
        pose: (18, 2 or 3) COCO-18, px; missing joints are NaN or (0, 0).
        size: (height, width) of the photo; joints further away from it than its size count as missing.

    Returns:
        (18, 2) px, NaN where missing.

    Raises:
        DataError: another shape, or too little is there to place both shoulders.

    Example:
        >>> pose = np.zeros((18, 3))
        >>> pose[[2, 5], :2] = [[20, 30], [40, 30]]
        >>> completed(pose, (100, 80))[[1, 8, 11]].tolist()
        [[30.0, 30.0], [20.0, 60.0], [40.0, 60.0]]
    """
    joints = found_joints(pose, size)
    _complete_shoulders(joints)
    _complete_hips(joints)
    return joints


def shoulder_width(joints: NDArray[np.float64]) -> float:
    """Distance of the shoulders, px."""
    return float(np.linalg.norm(joints[LEFT_SHOULDER] - joints[RIGHT_SHOULDER]))


def straightened_hips(joints: NDArray[np.float64]) -> tuple[Point, Point]:
    """Right and left hip, moved along their line until they are as far apart as the shoulders.

    Hips at one point have no line; the shoulders' direction stands in for it (the published programs divide by 0).
    """
    right, left = joints[RIGHT_HIP], joints[LEFT_HIP]
    middle, apart = (right + left) / 2, float(np.linalg.norm(left - right))
    across = joints[LEFT_SHOULDER] - joints[RIGHT_SHOULDER]
    half = (left - right) * shoulder_width(joints) / apart / 2 if apart > 0 else across / 2
    return middle - half, middle + half


def found_joints(pose: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
    """(18, 2) px, NaN where missing, which is also what lies further away from the photo than its size.

    Raises:
        DataError: another shape.
    """
    if pose.ndim != 2 or pose.shape[0] != 18 or pose.shape[1] not in (2, 3):
        raise DataError(f"pose: {pose.shape}, expected (18, 2) or (18, 3), the joints of COCO-18")
    joints = np.array(pose[:, :2], dtype=np.float64)
    extent = np.array([size[1], size[0]])
    with np.errstate(invalid="ignore"):
        absent = ~np.isfinite(joints).all(axis=1) | (joints == 0).all(axis=1)
        absent |= ((joints < -extent) | (joints > 2 * extent)).any(axis=1)
    joints[absent] = np.nan
    return joints


def _complete_shoulders(joints: NDArray[np.float64]) -> None:
    for this, other in ((RIGHT_SHOULDER, LEFT_SHOULDER), (LEFT_SHOULDER, RIGHT_SHOULDER)):
        if not known(joints[this]):
            joints[this] = 2 * joints[NECK] - joints[other]
    if not known(joints[RIGHT_SHOULDER], joints[LEFT_SHOULDER]):
        raise DataError(
            "pose: shoulders are missing (joints 2 and 5 of COCO-18); expected both, or one and the neck"
        )
    if shoulder_width(joints) == 0:
        raise DataError("pose: both shoulders lie at one point; expected two joints apart")
    if not known(joints[NECK]):
        joints[NECK] = (joints[RIGHT_SHOULDER] + joints[LEFT_SHOULDER]) / 2


def _complete_hips(joints: NDArray[np.float64]) -> None:
    across = joints[LEFT_SHOULDER] - joints[RIGHT_SHOULDER]
    down = np.array([0.0, 1.0]) * _TORSO * np.linalg.norm(across)
    if not known(joints[RIGHT_HIP]) and not known(joints[LEFT_HIP]):
        joints[[RIGHT_HIP, LEFT_HIP]] = joints[[RIGHT_SHOULDER, LEFT_SHOULDER]] + down
    elif not known(joints[RIGHT_HIP]):
        joints[RIGHT_HIP] = joints[LEFT_HIP] - across
    elif not known(joints[LEFT_HIP]):
        joints[LEFT_HIP] = joints[RIGHT_HIP] + across
