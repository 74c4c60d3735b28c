"""How much more a metric of the damaged region moves than the same metric of the other region."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._shared.order import generator
from ..engine.images import Form
from ..engine.networks import Networks
from ..engine.score import PairScorer
from ..protocol.schema import LPIPSSpec, Protocol, Region
from .corruptions import CORRUPTIONS, Corruption, corrupted

PROTOCOL = Protocol(name="meta", colour=True, lpips=(LPIPSSpec(net="alex"),))
METRICS = ("ssim_rgb_gaussian_valid", "lpips_alex", "psnr", "colour")
Picture = tuple[NDArray[np.uint8], NDArray[np.bool_]]


@dataclass(frozen=True)
class Selectivity:
    """One cell of the matrix.

    Attributes:
        corruption: what was done.
        region: where.
        metric: of the masked reduction; PSNR stands for its mean squared error.
        inside: mean loss of that region (1 - SSIM, LPIPS, squared error, colour difference).
        outside: mean loss of the other region, which was not touched.
        n: pairs.
    """

    corruption: str
    region: str
    metric: str
    inside: float
    outside: float
    n: int

    @property
    def ratio(self) -> float:
        """Inside over outside; infinite where the other region does not move at all."""
        return self.inside / self.outside if self.outside > 0 else math.inf

    def to_json(self) -> dict[str, Any]:
        """Its fields and the ratio."""
        return {**asdict(self), "ratio": self.ratio}


def selectivity(pictures: Sequence[Picture], networks: Networks, *, seed: int = 0) -> list[Selectivity]:
    """Damage photos in one region at a time and see which region's metrics move.

    Args:
        pictures: (photo, clothing mask), all of one size, at least two.
        networks: with LPIPS (alex).
        seed: of the noise.
    """
    return [
        cell
        for number, corruption in enumerate(CORRUPTIONS)
        for cell in _cells(corruption, number, pictures, networks, seed)
    ]


def _cells(
    corruption: Corruption, number: int, pictures: Sequence[Picture], networks: Networks, seed: int
) -> Iterator[Selectivity]:
    losses: dict[tuple[str, Region], list[float]] = {}
    for index, (photo, clothing) in enumerate(pictures):
        rng = generator(seed, "corruption", number, index)
        damaged = corrupted(corruption, photo, pictures[index - 1][0], clothing, rng)
        scorer = PairScorer(str(index), Form.of(PROTOCOL), {"": photo, "x": damaged}, clothing, networks)
        for score in scorer.scores(PROTOCOL, ("x",), "paired"):
            if score.metric in METRICS and score.region != "all":
                losses.setdefault((score.metric, score.region), []).append(_loss(score.metric, score.value))  # type: ignore[arg-type]
    other: Region = "person" if corruption.region == "clothing" else "clothing"
    for metric in METRICS:
        inside, outside = (float(np.nanmean(losses[metric, region])) for region in (corruption.region, other))
        yield Selectivity(corruption.name, corruption.region, metric, inside, outside, len(pictures))


def _loss(metric: str, value: float) -> float:
    """The metric as a loss that is 0 for equal images."""
    if metric == "psnr":
        return 255**2 / 10 ** (value / 10)
    return 1 - value if metric.startswith("ssim") else value
