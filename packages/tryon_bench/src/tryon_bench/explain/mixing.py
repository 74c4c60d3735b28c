"""Protocols between two protocols: each group of choices taken from the one or from the other."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, combinations
from typing import Any, Literal

from .._shared.errors import ConfigError
from ..engine.score import lpips_name
from ..protocol.schema import Protocol, Region, Setting

Family = Literal["ssim", "psnr", "lpips", "fid", "kid"]
FAMILIES: tuple[Family, ...] = ("ssim", "psnr", "lpips", "fid", "kid")
_OF_SETS = ("fid", "kid")
_OFF: dict[str, Any] = {
    **{"ssim": (), "ms_ssim": False, "psnr": False, "lpips": (), "dists": False, "colour": False},
    **{"boundary": False, "garment_similarity": False, "fid": (), "kid": None, "fd_effnet_lite0": False},
    **{"fd_dinov2": False, "cmmd": False, "manifold": False, "inception_score_splits": None, "semantic": ()},
}
_MASKS = ("reduction", "fill", "mask_dilation_px", "clothing_mask")
_ALWAYS = {
    "size": ("height_px", "width_px"),
    "resampler": ("resampler",),
    "JPEG": ("prediction_jpeg_quality", "reference_jpeg_quality", "jpeg_step"),
    "setting": ("unpaired_full_reference",),
}


def only(protocol: Protocol, family: Family, region: Region) -> Protocol:
    """The protocol with one metric of one region.

    Raises:
        ConfigError: it does not have that metric or that region.
    """
    regions = protocol.distribution_regions if family in _OF_SETS else protocol.regions
    if not getattr(protocol, family):
        raise ConfigError(f"protocol {protocol.name}: has no {family}; choose another --metric or protocol")
    if region not in regions:
        raise ConfigError(
            f"protocol {protocol.name}: {family} of {', '.join(regions)} only; choose another --region"
        )
    kept: dict[str, Any] = {family: getattr(protocol, family)}
    if family in ("ssim", "lpips", "fid"):
        kept[family] = kept[family][:1]
    if family == "kid":
        kept["fid"] = protocol.fid[:1]
    return protocol.model_copy(
        update={**_OFF, **kept, "regions": (region,), "distribution_regions": (region,), "notes": ()}
    )


def metric_name(protocol: Protocol, family: Family) -> str:
    """Name of the family's metric in the results under a protocol of `only`."""
    if family == "ssim":
        return f"ssim_{protocol.ssim[0]}"
    if family == "lpips":
        return lpips_name(protocol.lpips[0])
    if family == "fid":
        return f"fid_{protocol.fid[0]}"
    return "psnr" if protocol.kid is None else f"kid_x{protocol.kid.scale:g}"


def differing_groups(
    a: Protocol, b: Protocol, family: Family, region: Region, setting: Setting
) -> dict[str, tuple[str, ...]]:
    """Groups of choices in which two protocols of `only` differ and that can move its number."""
    groups = dict(_ALWAYS)
    if setting == "paired" or family in _OF_SETS:
        groups.pop("setting")
    if region != "all":
        groups["region masks"] = _MASKS
    groups["implementation"] = ("kid", "fid") if family == "kid" else (family,)
    return {
        name: fields
        for name, fields in groups.items()
        if any(getattr(a, field) != getattr(b, field) for field in fields)
    }


def mixtures(a: Protocol, b: Protocol, groups: dict[str, tuple[str, ...]]) -> dict[frozenset[str], Protocol]:
    """A protocol for every subset of groups: those in it are taken from b, the others from a."""
    subsets: Iterable[tuple[str, ...]] = chain.from_iterable(
        combinations(groups, n) for n in range(len(groups) + 1)
    )
    return {frozenset(subset): _mixed(a, b, groups, subset) for subset in subsets}


def _mixed(a: Protocol, b: Protocol, groups: dict[str, tuple[str, ...]], subset: tuple[str, ...]) -> Protocol:
    taken = {field: getattr(b, field) for name in subset for field in groups[name]}
    label = "+".join(name.replace(" ", "-") for name in subset)
    return a.model_copy(update={**taken, "name": f"mix({label})"})
