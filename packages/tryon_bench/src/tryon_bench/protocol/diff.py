"""What differs between two protocols, in words and with the effect that was measured where one is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .schema import KIDSpec, LPIPSSpec, Protocol

# Why a field matters. Sizes were measured on 35 results of seven methods against their photos at 512x384 (README,
# "Why numbers differ"); read them as orders of magnitude.
_EFFECTS = {
    "height_px": "SSIM rises by about 0.01 from 512 to 256 rows and by 0.02 upsampled to 1024, and the order of "
    "methods changes (Kendall tau 0.71 at 256)",
    "width_px": "see the height",
    "resampler": "before Inception, resamplers differ by 1 to 5 gray levels on average; without antialias fine "
    "textures alias",
    "prediction_jpeg_quality": "quality 75 costs results about 0.003 of SSIM",
    "reference_jpeg_quality": "with both sides at quality 75, SSIM falls by about 0.002",
    "jpeg_step": "an encoding before resizing is smoothed by it, one after it is not",
    "regions": "numbers of different regions cannot be compared at all",
    "reduction": "with canvas a small region scores near 1 whatever is in it, and data sets cannot be compared",
    "fill": "on 15 real pairs, black, white and gray changed 1 - SSIM of a region by up to 0.01",
    "mask_dilation_px": "the border of the garment counts for the clothing or for the person",
    "clothing_mask": "another source of masks is another region",
    "ssim": "variants shift all methods alike, by up to 0.01, more than neighbours in tables differ",
    "lpips": "other nets and input sizes are other scales: for one method, published values differ up to 3.3 times",
    "fid": "the resizer in front of Inception: pytorch-fid gives 1 to 1.5 % more than clean-fid",
    "kid": "raw, x100 and x1000 all appear in tables; subsets add noise",
    "unpaired_full_reference": "comparing another garment with the photo's own says nothing about quality",
    "self_pairs": "VITON's unpaired list has 4 self pairs of 2032, whose target leaks into the result",
    "distribution_regions": "sets of regions are other sets",
    "inception_score_splits": "the score rises with fewer splits",
}
_UNIT = {"height_px": " px", "width_px": " px", "mask_dilation_px": " px"}
_SWITCHES = ("ms_ssim", "psnr", "dists", "colour", "boundary", "garment_similarity", "fd_effnet_lite0")
_SWITCHES += ("fd_dinov2", "cmmd", "manifold")
_DOCUMENTS = ("name", "notes")


@dataclass(frozen=True)
class Difference:
    """One field in which two protocols differ.

    Attributes:
        field: its name.
        first: value in words.
        second: likewise.
        comparable: False if numbers of the same name mean different things; True if one of them just lacks a metric.
        effect: what is known of its size, or "".
    """

    field: str
    first: str
    second: str
    comparable: bool
    effect: str

    def __str__(self) -> str:
        label = self.field.removesuffix("_px").replace("_", " ")
        text = f"{label}: {self.first} against {self.second}"
        return f"{text} ({self.effect})" if self.effect else text


def diff_protocols(a: Protocol, b: Protocol) -> list[Difference]:
    """Every field that differs, those first that change numbers of one name.

    Example:
        >>> [d.field for d in diff_protocols(Protocol(name="a"), Protocol(name="b", fill=255, dists=True))]
        ['fill', 'dists']
    """
    found = [_difference(name, getattr(a, name), getattr(b, name)) for name in _changed(a, b)]
    return sorted(found, key=lambda difference: difference.comparable)


def _changed(a: Protocol, b: Protocol) -> list[str]:
    names = [name for name in Protocol.model_fields if name not in _DOCUMENTS]
    return [name for name in names if getattr(a, name) != getattr(b, name)]


def _difference(name: str, first: Any, second: Any) -> Difference:
    # a metric that only one of them takes leaves the other numbers alone
    lists = ("ssim", "fid", "semantic", "lpips", "distribution_regions", "regions")
    subset = name in lists and (set(first) <= set(second) or set(second) <= set(first))
    absent = name in ("kid", "inception_score_splits") and (first is None or second is None)
    comparable = name in _SWITCHES or subset or absent
    effect = "" if comparable else _EFFECTS.get(name, "")
    return Difference(name, in_words(name, first), in_words(name, second), comparable, effect)


def in_words(name: str, value: Any) -> str:
    """A field's value as people say it."""
    if isinstance(value, tuple):
        return ", ".join(in_words(name, item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return {"height_px": "the photo's", "width_px": "the photo's"}.get(name, "none")
    if isinstance(value, LPIPSSpec):
        return value.net if value.side_px is None else f"{value.net} at {value.side_px} x {value.side_px} px"
    if isinstance(value, KIDSpec):
        form = "all pairs" if value.subset_size is None else f"{value.subsets} subsets of {value.subset_size}"
        return f"x{value.scale:g}, {form}"
    return f"{value}{_UNIT.get(name, '')}"
