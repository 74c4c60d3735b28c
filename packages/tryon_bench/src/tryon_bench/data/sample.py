"""What a data set is, whatever its layout on disk: rows of a pair list with the files that belong to them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from .._shared.io.images import read_mask
from ..protocol.schema import Setting
from .labels import NAMES, Scheme, garment_labels

AGNOSTIC_DILATION = 0.01  # of the image's height; our choice, the survey says "dilated" and no number


@dataclass(frozen=True)
class Sample:
    """One row of a pair list. The files need not exist: the doctor names all that are missing at once.

    Attributes:
        pair_id: unique name of the row, usable as a file name.
        person: photo of the person.
        garment: shop photo of the garment that is put on.
        reference: the photo to compare with: the target in the paired setting; in the unpaired one the person's
            photo, which holds outside of the clothing and as the reference set of FID.
        setting: paired or unpaired.
        category: upper_body, lower_body or dresses; "" where the data set does not say.
        self_pair: the garment is the one that the person wears.
        parse: label map of `reference`.
        parse_scheme: what its ids mean.
        garment_mask: mask of `garment`, white inside.
        agnostic_mask: of `person`, white where a method repaints.
        agnostic: `person` with that area in gray.
        densepose: rendering or part map of `person`.
        keypoints: OpenPose JSON of `person`, or DressCode's.
    """

    pair_id: str
    person: Path
    garment: Path
    reference: Path | None
    setting: Setting
    category: str = ""
    self_pair: bool = False
    parse: Path | None = None
    parse_scheme: Scheme = "lip"
    garment_mask: Path | None = None
    agnostic_mask: Path | None = None
    agnostic: Path | None = None
    densepose: Path | None = None
    keypoints: Path | None = None


@dataclass(frozen=True)
class Dataset:
    """The rows of one pair list of a data set.

    Attributes:
        format: vitonhd, dresscode, viton, survey-viton, mpv or manifest.
        root: the data set's folder, or the manifest.
        setting: paired or unpaired.
        samples: in the order of the list.
        pairs: name of the list that was read.
    """

    format: str
    root: Path
    setting: Setting
    samples: tuple[Sample, ...]
    pairs: str

    @property
    def list_hash(self) -> str:
        """First 8 hexadecimal digits of the SHA-256 of who wears what, in order; paths above the files do not count."""
        rows = [[s.pair_id, s.person.name, s.garment.name, s.reference and s.reference.name] for s in self.samples]
        return hashlib.sha256(json.dumps([self.setting, rows]).encode()).hexdigest()[:8]


def clothing_mask(sample: Sample) -> NDArray[np.bool_]:
    """The clothing region of the reference photo; its complement is the person region (our reading of the survey).

    Paired: the garment's labels in the data set's parse of the reference, for both images. Unpaired: the same labels
    of the person's photo, united with the agnostic mask that is grown by 1 % of the height, because the new garment
    may be longer than the old one. Where one of the two files is missing, the other decides alone.

    Returns:
        (H, W) bool, True inside.

    Raises:
        DataError: neither a parse nor (unpaired) an agnostic mask, ids outside of the scheme, damaged files, or two
            masks of different sizes.
    """
    mask = None if sample.parse is None else parse_mask(sample)
    if sample.setting == "unpaired" and sample.agnostic_mask is not None:
        grown = _grown_agnostic(sample.agnostic_mask)
        if mask is not None and mask.shape != grown.shape:
            raise DataError(
                f"{sample.agnostic_mask.name}: {grown.shape[1]} x {grown.shape[0]} px, the parse has "
                f"{mask.shape[1]} x {mask.shape[0]}; regions need masks of one size"
            )
        mask = grown if mask is None else mask | grown
    if mask is None:
        wanted = "a parse" if sample.setting == "paired" else "a parse or an agnostic mask"
        raise DataError(f"{sample.pair_id}: no clothing region; expected {wanted} of the photo in the data set")
    return mask


def parse_mask(sample: Sample) -> NDArray[np.bool_]:
    """Where the parse shows the garment that the sample's category exchanges; (H, W) bool.

    Raises:
        DataError: no parse, or ids outside of the scheme.
    """
    labels = read_parse(sample)
    return np.isin(labels, list(garment_labels(sample.parse_scheme, sample.category)))


def read_parse(sample: Sample) -> NDArray[np.uint8]:
    """Label ids (H, W) of the sample's parse.

    Raises:
        DataError: the sample has none, it is damaged, or it holds ids that its scheme does not know.
    """
    if sample.parse is None:
        raise DataError(f"{sample.pair_id}: no parse in the data set; this needs one")
    labels = read_mask(sample.parse, binary=False).array
    known = len(NAMES[sample.parse_scheme])
    if labels.max() >= known:
        raise DataError(
            f"{sample.parse.name}: label id {labels.max()}; {sample.parse_scheme} ends at {known - 1}, is this "
            "another scheme or a rendering in colours?"
        )
    return labels.astype(np.uint8)


def _grown_agnostic(path: Path) -> NDArray[np.bool_]:
    from ..metrics.regions import grown

    mask = read_mask(path, binary=True).array.astype(bool)
    return grown(mask, max(1, round(AGNOSTIC_DILATION * mask.shape[0])))
