"""Scores of one pair: every method, region and metric from one decoded reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..metrics import regions as region_forms
from ..metrics.pixels import colour_difference, decibels, squared_error
from ..metrics.structural import border_of, ms_ssim, ssim_map, window_radius
from ..protocol.schema import LPIPSSpec, Protocol, Region, Setting
from .images import Form, bring, bring_mask
from .networks import Networks

if TYPE_CHECKING:
    from torch import Tensor

    from ..networks.extractors import ExtractorName

Pixels = NDArray[np.uint8]


class Score(NamedTuple):
    """One number of one pair; NaN where it is undefined."""

    pair_id: str
    method: str
    protocol: str
    metric: str
    region: str
    value: float


class PairScorer:
    """One pair at one form: images at evaluation size, and everything computed on them, once."""

    def __init__(
        self,
        pair_id: str,
        form: Form,
        images: dict[str, Pixels],
        clothing: NDArray[np.bool_],
        networks: Networks,
        garment: Pixels | None = None,
    ) -> None:
        """Bring the images to size.

        Args:
            pair_id: name of the row.
            form: what the protocol does to images.
            images: "" -> the decoded reference, method -> the decoded result.
            clothing: (H, W) on the grid of the reference as decoded.
            networks: as loaded for the plan.
            garment: the shop photo as decoded, if a protocol asks for the similarity of garments.
        """
        native = images[""].shape[:2]
        self.pair_id, self.networks, self.garment = pair_id, networks, garment
        self.images = {
            name: bring(image, form, native, form.prediction_jpeg_quality if name else form.reference_jpeg_quality)
            for name, image in images.items()
        }
        self.clothing = bring_mask(clothing, form, native)
        self._cache: dict[Hashable, Any] = {}

    def once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """The value under a key, computed when first asked for."""
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]

    def mask(self, region: Region, dilation_px: int) -> NDArray[np.bool_]:
        """(H, W) bool of a region; the person is everything but the clothing."""

        def compute() -> NDArray[np.bool_]:
            clothing = region_forms.grown(self.clothing, dilation_px)
            return {"all": np.ones_like(clothing), "clothing": clothing, "person": ~clothing}[region]

        return self.once(("mask", region, dilation_px), compute)

    def canvas(self, name: str, region: Region, dilation_px: int, fill: int) -> Pixels:
        """An image with everything outside a region filled."""
        if region == "all":
            return self.images[name]
        mask = self.mask(region, dilation_px)
        key = ("canvas", name, region, dilation_px, fill)
        return self.once(key, lambda: region_forms.filled_outside(self.images[name], mask, fill))

    def scores(self, protocol: Protocol, methods: tuple[str, ...], setting: Setting) -> Iterator[Score]:
        """Every per-pair number that the protocol defines in this setting."""
        for method in methods:
            for region in compared_regions(protocol, setting):
                for metric, value in self._full_reference(method, region, protocol):
                    yield Score(self.pair_id, method, protocol.stamp, metric, region, value)
            if protocol.boundary:
                yield Score(self.pair_id, method, protocol.stamp, "boundary", "all", self._boundary(method))
            if protocol.garment_similarity:
                value = self.once(("garment", method), partial(self._garment_similarity, method))
                yield Score(self.pair_id, method, protocol.stamp, "garment_similarity", "clothing", value)

    def _full_reference(self, method: str, region: Region, protocol: Protocol) -> Iterator[tuple[str, float]]:
        maps: list[tuple[str, Hashable, Callable[[Pixels, Pixels], NDArray[np.float64]], int, int]] = [
            (
                f"ssim_{name}",
                ("ssim", name),
                partial(ssim_map, variant=name),
                window_radius(name),
                border_of(name),
            )
            for name in protocol.ssim
        ]
        if protocol.psnr:
            maps.append(("psnr", "psnr", squared_error, 0, 0))
        if protocol.colour:
            maps.append(("colour", "colour", colour_difference, 0, 0))
        for metric, key, function, radius, border in maps:
            value = self._reduced(method, region, protocol, key, function, radius, border)
            yield metric, decibels(value) if metric == "psnr" and not math.isnan(value) else value
        for spec in protocol.lpips:
            yield lpips_name(spec), self._lpips(method, region, protocol, spec)
        if region == "all" and protocol.ms_ssim:
            yield "ms_ssim", self.once(("ms_ssim", method), lambda: ms_ssim(self.images[method], self.images[""]))
        if region == "all" and protocol.dists:
            yield "dists", self.once(("dists", method), lambda: self._dists(method))
        for variant in protocol.semantic:
            yield f"semantic_{variant}", self._semantic(method, region, protocol, variant)

    def _reduced(
        self,
        method: str,
        region: Region,
        protocol: Protocol,
        key: Hashable,
        function: Callable[[Pixels, Pixels], NDArray[np.float64]],
        radius: int,
        border: int,
    ) -> float:
        """A map metric under the protocol's reduction: one map serves all regions of `masked`."""
        if protocol.reduction == "canvas" and region != "all":
            pair = (
                self.canvas(method, region, protocol.mask_dilation_px, protocol.fill),
                self.canvas("", region, protocol.mask_dilation_px, protocol.fill),
            )
            where = (region, protocol.mask_dilation_px, protocol.fill)
            return float(self.once((key, method, where), lambda: function(*pair)).mean())
        whole = self.once((key, method), lambda: function(self.images[method], self.images[""]))
        if region == "all":
            return float(whole.mean())
        dilation = protocol.mask_dilation_px
        inside = self.once(
            ("inside", region, dilation, radius), lambda: region_forms.shrunk(self.mask(region, dilation), radius)
        )
        return region_forms.masked_mean(whole, inside, border=border)

    def _lpips(self, method: str, region: Region, protocol: Protocol, spec: LPIPSSpec) -> float:
        network = self.networks.lpips[spec.net]
        if protocol.reduction == "canvas" or region == "all":
            first, second = (self._activations(name, region, protocol, spec) for name in (method, ""))
            return float(network.distance(first, second))
        share = float(self.mask(region, protocol.mask_dilation_px).mean())
        if share == 0:
            return math.nan
        first = self._embed(
            ("transplant", spec, method, region, protocol.mask_dilation_px),
            spec,
            self._transplanted(method, region, protocol),
        )
        return float(network.distance(first, self._activations("", "all", protocol, spec))) / share

    def _transplanted(self, method: str, region: Region, protocol: Protocol) -> Pixels:
        """The photo with the region's pixels of a result: nothing that happens elsewhere can enter a deep feature.

        A mask on LPIPS's map would not do: the receptive fields of its last stages are larger than a face.
        """
        mask = self.mask(region, protocol.mask_dilation_px)
        return np.where(mask[:, :, None], self.images[method], self.images[""])

    def _activations(self, name: str, region: Region, protocol: Protocol, spec: LPIPSSpec) -> list[Tensor]:
        where = () if region == "all" else (region, protocol.mask_dilation_px, protocol.fill)
        image = self.canvas(name, region, protocol.mask_dilation_px, protocol.fill)
        return self._embed(("activations", spec, name, where), spec, image)

    def _embed(self, key: Hashable, spec: LPIPSSpec, image: Pixels) -> list[Tensor]:
        import torch
        from torch.nn import functional as F

        def compute() -> list[Tensor]:
            network = self.networks.lpips[spec.net]
            images = signed(image).to(next(network.parameters()).device)
            if spec.side_px is not None:
                images = F.interpolate(images, size=(spec.side_px,) * 2, mode="bilinear", align_corners=False)
            with torch.inference_mode():
                return network.activations(images)

        return self.once(key, compute)

    def _dists(self, method: str) -> float:
        import torch

        network = self.networks.dists
        assert network is not None  # noqa: S101  # loaded because the protocol asks for it
        with torch.inference_mode():
            return float(network((signed(self.images[method]) + 1) / 2, (signed(self.images[""]) + 1) / 2))

    def _semantic(self, method: str, region: Region, protocol: Protocol, variant: str) -> float:
        """Distance of CLIP embeddings of the region in result and photo (specification 2.4)."""
        first, second = (self.features("clip_b32", name, region, protocol)[0] for name in (method, ""))
        if variant == "l2":
            return float(np.linalg.norm(first - second))
        return 100 * (1 - float(first @ second) / float(np.linalg.norm(first) * np.linalg.norm(second)))

    def _boundary(self, method: str) -> float:
        """Mean absolute difference of the gradient's magnitude (gray levels) around the clothing's border."""
        from scipy.ndimage import sobel

        from ..metrics.images import luma

        def steepness(image: Pixels) -> NDArray[np.float64]:
            gray = luma(image).astype(np.float64)
            return np.hypot(sobel(gray, axis=0), sobel(gray, axis=1)) / 8

        band = self.once(
            "band", lambda: region_forms.edge_band(self.clothing, max(1, self.clothing.shape[0] // 64))
        )
        reference = self.once("steepness", lambda: steepness(self.images[""]))
        return region_forms.masked_mean(np.abs(steepness(self.images[method]) - reference), band)

    def _garment_similarity(self, method: str) -> float:
        """Cosine of features of the shop photo and of the worn garment, cut out and put on white like a shop photo."""
        if self.garment is None or not self.clothing.any():
            return math.nan
        worn = region_forms.cut_out(self.images[method], self.clothing)
        shop, result = self.networks.extractors["effnet_lite0"]([self.garment, worn]).astype(np.float64)
        return float(shop @ result) / float(np.linalg.norm(shop) * np.linalg.norm(result))

    def features(
        self, extractor: ExtractorName, name: str, region: Region, protocol: Protocol
    ) -> NDArray[np.float32]:
        """(1, d) features of an image, filled outside the region."""
        where = () if region == "all" else (region, protocol.mask_dilation_px, protocol.fill)
        network = self.networks.extractors[extractor]
        return self.once(
            ("features", extractor, name, where),
            lambda: network([self.canvas(name, region, protocol.mask_dilation_px, protocol.fill)]),
        )


def compared_regions(protocol: Protocol, setting: Setting) -> tuple[Region, ...]:
    """Regions compared with the photo: unpaired results have a target outside the clothing only."""
    if setting == "paired" or protocol.unpaired_full_reference == "all":
        return protocol.regions
    return tuple(region for region in protocol.regions if region == "person")


def lpips_name(spec: LPIPSSpec) -> str:
    """Name of an LPIPS in tables, such as `lpips_alex` and `lpips_alex_128`."""
    return f"lpips_{spec.net}" if spec.side_px is None else f"lpips_{spec.net}_{spec.side_px}"


def signed(image: Pixels) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float in [-1, 1]."""
    import torch

    return torch.from_numpy(np.moveaxis(image, 2, 0).copy()).float()[None] / 127.5 - 1
