"""Checks and conversions that the image metrics share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError


def check_pair(pred: NDArray[Any], ref: NDArray[Any], *, at_least: int = 1, metric: str = "this metric") -> None:
    """Require two (H, W, 3) uint8 images of one size.

    Args:
        pred: the result of a method.
        ref: what it is compared with.
        at_least: shortest side allowed, px.
        metric: what needs that, for the message.

    Raises:
        DataError: naming what was expected and what was received.
    """
    for name, image in (("prediction", pred), ("reference", ref)):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise DataError(
                f"{name}: expected an (H, W, 3) uint8 image in 0..255, got {image.shape} {image.dtype}; "
                "a float image has another value range, convert it"
            )
    if pred.shape != ref.shape:
        raise DataError(
            f"prediction {pred.shape[1]} x {pred.shape[0]} px and reference {ref.shape[1]} x {ref.shape[0]} px "
            "differ; resize one of them by the protocol's rule first"
        )
    if min(pred.shape[:2]) < at_least:
        raise DataError(
            f"image of {pred.shape[1]} x {pred.shape[0]} px: {metric} needs at least {at_least} px on each side"
        )


def luma(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """ITU-R 601 luma, rounded to integers as Pillow's mode "L" does it.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (H, W) uint8.
    """
    weighted = image.astype(np.uint32) @ np.array([19595, 38470, 7471], dtype=np.uint32)
    return ((weighted + 0x8000) >> 16).astype(np.uint8)
