"""Fréchet distances against the number of images, from the features that a run has stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..stats.distances import GROUPS, bias_curve
from .features import REFERENCE, sets_of
from .plan import Plan
from .results import frechet_metric
from .run import read_features


class Curve(NamedTuple):
    """How one distance of one method falls with n.

    Attributes:
        method: its name.
        protocol: name and hash.
        metric: such as `fid_clean`.
        region: all, clothing or person.
        n: numbers of images.
        distance: mean over random subsets of each number.
        extrapolated: the line in 1/n at infinitely many images; a model's answer, not a measurement.
    """

    method: str
    protocol: str
    metric: str
    region: str
    n: list[int]
    distance: list[float]
    extrapolated: float


def bias_curves(plan: Plan, run_dir: Path) -> Iterator[Curve]:
    """Every Fréchet distance of every method and protocol; none for fewer pairs than an interval needs.

    Args:
        plan: as it was run.
        run_dir: holds all chunks.
    """
    for protocol in plan.protocols:
        for item in sets_of(protocol):
            metric = frechet_metric(protocol, item)
            if not metric:
                continue
            photos = read_features(run_dir, plan, f"{item.key}/{REFERENCE}")
            for method in plan.methods if len(photos) >= GROUPS else ():
                curve = bias_curve(read_features(run_dir, plan, f"{item.key}/{method}"), photos)
                yield Curve(method, protocol.stamp, metric, item.region, *curve)
