"""A protocol is data: everything that changes a number, in one immutable document with a hash."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import Field

from .._shared.config import FrozenModel
from ..resize import InceptionResizer, Resampler

Region = Literal["all", "clothing", "person"]
Setting = Literal["paired", "unpaired"]
Reduction = Literal["masked", "canvas"]
SSIMName = Literal[
    "rgb_gaussian_valid",
    "rgb_gaussian_reflect",
    "rgb_gaussian_zero",
    "gray_gaussian",
    "gray_uniform7",
    "rgb_uniform7",
]


class LPIPSSpec(FrozenModel):
    """One LPIPS."""

    net: Literal["alex", "vgg", "squeeze"] = Field(default="alex", description="Backbone; heads are v0.1.")
    side_px: int | None = Field(default=None, ge=32, description="Resize to a square first (HR-VITON: 128).")


class KIDSpec(FrozenModel):
    """How KID is estimated and on which scale it is printed."""

    scale: float = Field(default=1000.0, gt=0, description="Factor of the printed value.")
    subset_size: int | None = Field(default=None, ge=2, description="Rows per random subset; none: all pairs.")
    subsets: int = Field(default=100, ge=1, description="Random subsets, where subset_size is set.")


class Protocol(FrozenModel):
    """What is compared with what, and how. Two numbers are comparable if the hashes of their protocols are equal."""

    name: str = Field(description="Name of the preset.")
    height_px: int | None = Field(
        default=None, ge=16, description="Evaluation height; none: that of the reference."
    )
    width_px: int | None = Field(default=None, ge=16, description="Evaluation width; none: that of the reference.")
    resampler: Resampler = Field(default="pillow_bicubic", description="Resizes what has another size.")
    prediction_jpeg_quality: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Results pass through JPEG of this quality first, as in some pipelines.",
    )
    reference_jpeg_quality: int | None = Field(
        default=None, ge=1, le=100, description="Photos pass through JPEG of this quality first."
    )
    jpeg_step: Literal["before_resize", "after_resize"] = Field(
        default="before_resize",
        description="before_resize: JPEG is how a side was stored; after_resize: what was resized is stored again as "
        "JPEG (CatVTON's photos), and what has its size already is not.",
    )
    regions: tuple[Region, ...] = Field(
        default=("all", "clothing", "person"), min_length=1, description="Regions."
    )
    clothing_mask: Literal["dataset_parse"] = Field(
        default="dataset_parse",
        description="Source of the clothing region: the data set's parse of the photo, shared by both images; in the "
        "unpaired setting united with the agnostic mask grown by 1 % of the height.",
    )
    reduction: Reduction = Field(
        default="masked",
        description="masked: mean of the metric's map inside the region, which is shrunk by the window's radius; LPIPS "
        "sees the photo with the region's pixels of the result, and is divided by the region's share of the area. "
        "canvas: outside of the region is filled in both images and the mean is over the canvas.",
    )
    fill: int = Field(default=0, ge=0, le=255, description="Grey value of the fill of `canvas`.")
    mask_dilation_px: int = Field(default=0, ge=0, description="The clothing mask grows by this radius first.")
    ssim: tuple[SSIMName, ...] = Field(default=("rgb_gaussian_valid",), description="Variants of SSIM.")
    ms_ssim: bool = Field(default=False, description="MS-SSIM of whole images; needs 176 px a side.")
    psnr: bool = Field(default=True, description="PSNR, dB.")
    lpips: tuple[LPIPSSpec, ...] = Field(default=(LPIPSSpec(),), description="Variants of LPIPS.")
    dists: bool = Field(default=False, description="DISTS of whole images.")
    colour: bool = Field(default=False, description="Mean CIE 1976 colour difference.")
    boundary: bool = Field(default=False, description="Gradient error in a band around the clothing's border.")
    garment_similarity: bool = Field(
        default=False, description="Cosine of EfficientNet-lite0 features of the shop photo and the worn clothing."
    )
    distribution_regions: tuple[Region, ...] = Field(
        default=("all",),
        description="Regions of the distribution metrics; outside is always filled, as in `canvas`.",
    )
    fid: tuple[InceptionResizer, ...] = Field(default=(), description="FID, by the resizer in front of Inception.")
    kid: KIDSpec | None = Field(default=None, description="KID on the features of the first `fid` resizer.")
    fd_effnet_lite0: bool = Field(
        default=False, description="Fréchet and kernel distance of EfficientNet-lite0 features; not FID, not KID."
    )
    fd_dinov2: bool = Field(default=False, description="Fréchet distance of DINOv2 ViT-L/14 features.")
    cmmd: bool = Field(default=False, description="CMMD of CLIP ViT-L/14 336 px embeddings.")
    manifold: bool = Field(
        default=False, description="Precision, recall, density, coverage (k=5) of the same features."
    )
    inception_score_splits: int | None = Field(
        default=None, ge=1, description="Inception score with so many splits."
    )
    semantic: tuple[Literal["l2", "cosdist100"], ...] = Field(
        default=(), description="Semantic Score: CLIP ViT-B/32 distance of result and reference photo."
    )
    unpaired_full_reference: Literal["person", "all"] = Field(
        default="person",
        description="Where results in other garments are compared with the photo: outside the clothing only, which "
        "must not change, or everywhere, which some scripts print although it is meaningless.",
    )
    self_pairs: Literal["exclude", "keep"] = Field(
        default="exclude", description="Unpaired rows in which the garment is the one worn."
    )
    notes: tuple[str, ...] = Field(default=(), description="What the source leaves open and what was chosen.")

    @property
    def hash(self) -> str:
        """First 8 hexadecimal digits of the SHA-256 of everything that can change a number."""
        content = self.model_dump(mode="json", exclude={"name", "notes"})
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def stamp(self) -> str:
        """Name and hash, which stand beside every number."""
        return f"{self.name}#{self.hash}"
