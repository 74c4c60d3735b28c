"""Whether a parse means what it is taken for: label ids of one scheme are valid in others, and say something else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..agnostic.body import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER, completed
from ..agnostic.canvas import Canvas
from ..agnostic.subject import where_label
from ..data.labels import garment_labels

_LEAST = 0.25  # of the torso; long hair and crossed arms leave more


def shows_top(parse: NDArray[np.uint8], pose: NDArray[np.float64]) -> bool:
    """Whether a quarter of what lies between shoulders and hips is an upper garment.

    Args:
        parse: (H, W) ids of VITON-HD.
        pose: (18, 2 or 3) joints of COCO-18, px, with at least one shoulder and the neck.

    Example:
        >>> pose = np.zeros((18, 2))
        >>> pose[[2, 5, 8, 11]] = [[10, 10], [30, 10], [10, 40], [30, 40]]
        >>> shows_top(np.full((60, 45), 5, np.uint8), pose), shows_top(np.full((60, 45), 4, np.uint8), pose)
        (True, False)
    """
    joints, canvas = completed(pose, (parse.shape[0], parse.shape[1])), Canvas((parse.shape[0], parse.shape[1]))
    canvas.polygon([joints[joint] for joint in (RIGHT_SHOULDER, LEFT_SHOULDER, LEFT_HIP, RIGHT_HIP)])
    torso = canvas.mask()
    return bool(
        torso.any() and where_label(parse, garment_labels("vitonhd", "upper_body"))[torso].mean() >= _LEAST
    )
