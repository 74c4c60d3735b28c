"""Conditions of a sample: read from its files, or made where a file is missing and another one tells as much."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from .._shared.errors import DataError
from .._shared.io.images import read_mask
from ..data.garments import mask_on_white
from ..data.keypoints import read_keypoints
from ..data.labels import NAMES, garment_labels
from ..data.roles import OPTIONAL_ROLES
from ..data.sample import Sample, parse_mask, read_parse
from ..metrics.regions import grown
from .interface import Conditions, Image, Mask

_OPEN = frozenset({"", "background", "noise", "torso skin", "neck"})
_FRONT = frozenset({"hat", "hair", "glove", "sunglasses", "scarf", "face", "left arm", "right arm", "bag"})
_MARGIN = 0.02  # of the height: how far the area that may change reaches beyond the worn garment


def conditions_of(sample: Sample, person: Image, garment: Image, seed: int) -> Conditions:
    """Everything a method may use.

    Raises:
        DataError: neither parse nor agnostic mask, a damaged file, or masks of another size than the photo.
    """
    size = (person.shape[0], person.shape[1])
    agnostic = None if sample.agnostic_mask is None else read_mask(sample.agnostic_mask, binary=True)
    worn = None if sample.parse is None else parse_mask(sample)
    repaint = None if agnostic is None else agnostic.array.astype(bool)
    for mask, path in ((worn, sample.parse), (repaint, sample.agnostic_mask)):
        if mask is not None and path is not None and mask.shape != size:
            raise DataError(f"{path.name}: {mask.shape}, the photo of {sample.pair_id} has {size} (H, W)")
    if worn is None and repaint is None:
        raise DataError(f"{sample.pair_id}: neither parse nor agnostic mask; methods cannot know what to change")
    target = worn if worn is not None and worn.any() else repaint
    if target is None or not target.any():
        raise DataError(
            f"{sample.pair_id}: neither the parse shows a garment of its category nor the agnostic mask a place for it"
        )
    repaint = grown(target, max(1, round(_MARGIN * size[0]))) if repaint is None else repaint | target
    keep, front = _kept(sample, size)
    return Conditions(
        sample.pair_id,
        sample.category or "upper_body",
        _garment_mask(sample, garment),
        target,
        repaint,
        keep,
        front,
        None if sample.keypoints is None else read_keypoints(sample.keypoints, size),
        _pair_seed(seed, sample.pair_id),
        {role: path for role in OPTIONAL_ROLES if (path := getattr(sample, role)) is not None},
        sample.reference if sample.setting == "paired" else None,
        _known_warp(sample),
    )


def _known_warp(sample: Sample) -> Path | None:
    """`warp_gt/<person>.npz` beside the layout's folders, which `tryon-bench synth` writes."""
    name = f"{sample.pair_id.partition('__')[0]}.npz"
    places = (folder / "warp_gt" / name for folder in list(sample.person.parents)[1:4])
    return next((path for path in places if path.is_file()), None)


def _garment_mask(sample: Sample, garment: Image) -> Mask:
    if sample.garment_mask is not None:
        mask = read_mask(sample.garment_mask, binary=True).array.astype(bool)
        if mask.shape != garment.shape[:2]:
            raise DataError(
                f"{sample.garment_mask.name}: {mask.shape}, the garment has {garment.shape[:2]} (H, W)"
            )
        return mask
    return mask_on_white(garment)


def _kept(sample: Sample, size: tuple[int, int]) -> tuple[Mask, Mask]:
    """What is put back: everything but background, the exchanged garment and bare skin of the torso; and its front."""
    if sample.parse is None:
        return np.zeros(size, bool), np.zeros(size, bool)
    labels, names = read_parse(sample), NAMES[sample.parse_scheme]
    exchanged = garment_labels(sample.parse_scheme, sample.category)
    if sample.category == "dresses":
        exchanged |= garment_labels(sample.parse_scheme, "upper_body")
    kept = [i for i, name in enumerate(names) if name not in _OPEN and i not in exchanged]
    front = [i for i in kept if names[i] in _FRONT]
    return np.isin(labels, kept), np.isin(labels, front)


def _pair_seed(seed: int, pair_id: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{pair_id}".encode()).digest()[:8], "big")
