"""The networks that a plan needs, each loaded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..protocol.schema import LPIPSSpec, Protocol
from .plan import Plan

if TYPE_CHECKING:
    from ..networks.extractors import Extractor, ExtractorName
    from ..networks.perceptual import DISTS, LPIPS, LPIPSNet


@dataclass(frozen=True)
class Networks:
    """Loaded networks by name.

    Attributes:
        lpips: backbone -> network.
        dists: None if no protocol asks for it.
        extractors: name -> extractor.
    """

    lpips: Mapping[LPIPSNet, LPIPS]
    dists: DISTS | None
    extractors: Mapping[ExtractorName, Extractor]

    @property
    def weights(self) -> dict[str, str]:
        """What every network's weights are, for the result file."""
        stamps = {f"lpips_{name}": network.weights for name, network in self.lpips.items()}
        stamps |= {name: extractor.weights for name, extractor in self.extractors.items()}
        return stamps if self.dists is None else {**stamps, "dists": self.dists.weights}


def feature_sets(protocol: Protocol) -> list[ExtractorName]:
    """Extractors whose features of whole sets a protocol's distribution metrics need."""
    names: list[ExtractorName] = [f"inception_{kind}" for kind in protocol.fid]  # type: ignore[misc]
    if protocol.inception_score_splits and not names:
        names.append("inception_clean")
    if protocol.fd_effnet_lite0:
        names.append("effnet_lite0")
    if protocol.fd_dinov2:
        names.append("dinov2_l14")
    if protocol.cmmd:
        names.append("clip_l14_336")
    return names


def load_networks(plan: Plan) -> Networks:
    """Load what the plan's protocols need.

    Raises:
        CheckpointError: a weight file is missing; the message names it.
        DataError: an asset is missing.
    """
    from ..networks.extractors import load_extractor
    from ..networks.perceptual import DISTS, LPIPS

    specs: list[LPIPSSpec] = [spec for protocol in plan.protocols for spec in protocol.lpips]
    lpips = {
        net: LPIPS(net, weights_dir=plan.weights_dir, random_seed=plan.random_seed).to(plan.device)
        for net in dict.fromkeys(spec.net for spec in specs)
    }
    wanted: dict[ExtractorName, None] = {}
    for protocol in plan.protocols:
        wanted |= dict.fromkeys(feature_sets(protocol))
        wanted |= {"clip_b32": None} if protocol.semantic else {}
        wanted |= {"effnet_lite0": None} if protocol.garment_similarity else {}
    extractors = {
        name: load_extractor(name, weights_dir=plan.weights_dir, random_seed=plan.random_seed, device=plan.device)
        for name in wanted
    }
    needs_dists = any(protocol.dists for protocol in plan.protocols)
    return Networks(
        lpips, DISTS(random_seed=plan.random_seed).to(plan.device) if needs_dists else None, extractors
    )
