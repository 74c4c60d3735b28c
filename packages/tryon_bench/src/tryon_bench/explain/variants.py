"""The same results as other pipelines would have stored them: as JPEG, or with the original pasted back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .._shared.errors import DataError
from .._shared.io.images import write_png
from ..data.sample import Dataset, Sample, clothing_mask
from ..engine.images import decode
from ..jpeg import through_jpeg

QUALITY = 75  # Pillow's default, with which several popular programs store results
JPEG_VARIANT = f"stored as JPEG {QUALITY}"
PASTED_VARIANT = "original pasted back outside of the clothing"


def write_variants(dataset: Dataset, predictions: Mapping[str, Path], folder: Path) -> dict[str, dict[str, Path]]:
    """Write both variants as PNG (the JPEG's loss is in the pixels).

    Pasting needs a result of the photo's size and a clothing region; where a pair has none, there is no such variant.

    Returns:
        Variant -> pair id -> file.
    """
    stored = {pair_id: folder / "jpeg" / f"{pair_id}.png" for pair_id in predictions}
    pasted: dict[str, Path] = {}
    for sample in dataset.samples:
        result = decode(predictions[sample.pair_id])
        write_png(stored[sample.pair_id], through_jpeg(result, QUALITY))
        composed = _pasted(result, decode(sample.reference or sample.person), sample)
        if composed is not None:
            pasted[sample.pair_id] = folder / "pasted" / f"{sample.pair_id}.png"
            write_png(pasted[sample.pair_id], composed)
    found = {JPEG_VARIANT: stored}
    return found | {PASTED_VARIANT: pasted} if len(pasted) == len(stored) else found


def _pasted(result: np.ndarray, photo: np.ndarray, sample: Sample) -> np.ndarray | None:
    try:
        mask = clothing_mask(sample)
    except DataError:
        return None
    if result.shape != photo.shape or mask.shape != photo.shape[:2]:
        return None
    return np.where(mask[..., None], result, photo)
