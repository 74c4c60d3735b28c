"""From chunks to numbers: means of pairs and distances of sets, each with n, an interval and its protocol's hash."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._shared.metrics.statistics import patient_bootstrap
from ..metrics.classifier import inception_score
from ..metrics.frechet import frechet_distance
from ..metrics.kernels import cmmd, kid
from ..metrics.manifold import precision_recall_density_coverage
from ..protocol.schema import Protocol
from ..stats.distances import GROUPS, Interval, frechet_interval, jackknife, kid_interval
from .features import LOGITS, REFERENCE, FeatureSet, sets_of
from .plan import Plan
from .run import read_features
from .score import Score

HIGHER_IS_BETTER = (
    "ssim",
    "ms_ssim",
    "psnr",
    "garment_similarity",
    "inception_score",
    "precision",
    "recall",
    "density",
    "coverage",
)
INFINITE = "infinite for equal images"


@dataclass(frozen=True)
class Result:
    """One number of a table.

    Attributes:
        method: its name.
        protocol: name and hash.
        metric: such as `ssim_rgb_gaussian_valid` or `fid_clean`.
        region: all, clothing or person.
        value: NaN where undefined.
        low: bound of the 95 % interval, NaN where there is none.
        high: the other bound.
        n: pairs that count.
        n_undefined: pairs for which the metric is undefined, such as an empty region.
        estimand: what the interval is about.
        higher_is_better: the metric's direction.
        note: why there is no number or no interval; "" where there are both.
    """

    method: str
    protocol: str
    metric: str
    region: str
    value: float
    low: float
    high: float
    n: int
    n_undefined: int
    estimand: str
    higher_is_better: bool
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


def pair_results(scores: Iterable[Score]) -> list[Result]:
    """Means over pairs with bootstrap intervals; undefined pairs are counted, not averaged."""
    groups: dict[tuple[str, str, str, str], list[float]] = {}
    for score in scores:
        groups.setdefault((score.method, score.protocol, score.metric, score.region), []).append(score.value)
    return [_mean(*key, np.array(values)) for key, values in groups.items()]


def _mean(method: str, protocol: str, metric: str, region: str, values: NDArray[np.float64]) -> Result:
    defined = values[~np.isnan(values)]
    finite = np.isfinite(defined).all()
    # equal images have an infinite PSNR: so has the mean, and no interval
    interval = patient_bootstrap(defined, range(len(defined))) if finite else None
    value = float(defined.mean()) if len(defined) else math.nan
    low, high = (interval.low, interval.high) if interval else (math.nan, math.nan)
    note = interval.undefined if interval else INFINITE
    return Result(
        method, protocol, metric, region, value, low, high, len(defined), len(values) - len(defined),
        "mean over such pairs", is_higher_better(metric), note,
    )  # fmt: skip


def set_results(plan: Plan, run_dir: Path) -> list[Result]:
    """Distances of sets of every method and protocol. Kernel forms need O(n^2) memory; features n x d float32.

    Args:
        plan: as it was run.
        run_dir: holds all chunks.
    """
    return [
        result
        for protocol in plan.protocols
        for item in sets_of(protocol)
        for result in _set_results(protocol, item, plan, run_dir)
    ]


def _set_results(protocol: Protocol, item: FeatureSet, plan: Plan, run_dir: Path) -> Iterator[Result]:
    photos = read_features(run_dir, plan, f"{item.key}/{REFERENCE}")
    for method in plan.methods:
        found = read_features(run_dir, plan, f"{item.key}/{method}")
        for metric, interval, note in _distances(protocol, item, found, photos):
            yield _of_interval(method, protocol, metric, item.region, interval, note)
        if item.with_logits and protocol.inception_score_splits:
            logits = read_features(run_dir, plan, f"{item.key}.{LOGITS}/{method}")
            yield _inception_score(method, protocol, item, logits)


def _distances(
    protocol: Protocol, item: FeatureSet, x: NDArray[np.float32], y: NDArray[np.float32]
) -> Iterator[tuple[str, Interval, str]]:
    """Metric name, value and note of every distance that the protocol takes from one feature set."""
    name = item.extractor
    few = "" if len(x) >= GROUPS else f"fewer than {GROUPS} pairs: no interval"

    def frechet(metric: str) -> tuple[str, Interval, str]:
        return metric, frechet_interval(x, y) if not few else _bare(x, y), few

    metric = frechet_metric(protocol, item)
    if metric:
        yield frechet(metric)
    if protocol.kid is not None and name == f"inception_{protocol.fid[0]}":
        yield _kid(protocol, x, y)
    elif metric == "fd_effnet_lite0":
        yield "kd_effnet_lite0", _scaled(kid_interval(x, y), 1000.0), ""
    elif name == "clip_l14_336" and protocol.cmmd:
        x, y = x / np.linalg.norm(x, axis=1, keepdims=True), y / np.linalg.norm(y, axis=1, keepdims=True)
        interval = jackknife(x, y, cmmd, "E[CMMD_n]", corrected=False) if not few else _bare(x, y, cmmd(x, y))
        yield "cmmd", interval, few
    if protocol.manifold and len(x) > 5:
        for metric, value in precision_recall_density_coverage(x, y)._asdict().items():
            yield f"{metric}_{name}", _bare(x, y, value), "no interval: neighbour counts are not smooth"


def frechet_metric(protocol: Protocol, item: FeatureSet) -> str:
    """Name of the Fréchet distance that a protocol takes from a feature set; "" if it takes none."""
    kind = item.extractor.removeprefix("inception_")
    if kind in protocol.fid:
        return f"fid_{kind}"
    asked = {"effnet_lite0": protocol.fd_effnet_lite0, "dinov2_l14": protocol.fd_dinov2}
    return f"fd_{item.extractor.removesuffix('_l14')}" if asked.get(item.extractor) else ""


def _kid(protocol: Protocol, x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[str, Interval, str]:
    spec = protocol.kid
    assert spec is not None  # noqa: S101  # the caller has looked
    metric = f"kid_x{spec.scale:g}"
    if spec.subset_size is None:
        return metric, _scaled(kid_interval(x, y), spec.scale), ""
    size = min(spec.subset_size, len(x), len(y))
    note = f"mean of {spec.subsets} subsets of {size}; the full form has an interval"
    return metric, _bare(x, y, spec.scale * kid(x, y, subset_size=size, subsets=spec.subsets)), note


def _inception_score(method: str, protocol: Protocol, item: FeatureSet, logits: NDArray[np.float32]) -> Result:
    splits = protocol.inception_score_splits or 1
    if len(logits) < splits:
        interval, note = _bare(logits, logits, math.nan), f"fewer images than its {splits} splits"
    else:
        mean, std = inception_score(logits, splits)
        interval, note = _bare(logits, logits, mean), f"sd over {splits} splits {std:.3g}; no interval"
    return _of_interval(method, protocol, "inception_score", item.region, interval, note)


def _of_interval(
    method: str, protocol: Protocol, metric: str, region: str, interval: Interval, note: str
) -> Result:
    return Result(
        method, protocol.stamp, metric, region, interval.estimate, interval.low, interval.high, interval.n, 0,
        interval.estimand, is_higher_better(metric), note or interval.undefined,
    )  # fmt: skip


def _bare(x: NDArray[np.float32], y: NDArray[np.float32], value: float | None = None) -> Interval:
    """A value without an interval; the Fréchet distance by default."""
    return Interval(frechet_distance(x, y) if value is None else value, math.nan, math.nan, len(x), "")


def _scaled(interval: Interval, scale: float) -> Interval:
    low, high = scale * interval.low, scale * interval.high
    return interval._replace(estimate=scale * interval.estimate, low=low, high=high)


def is_higher_better(metric: str) -> bool:
    """Direction of a metric by its name; everything but similarities and scores is a distance."""
    return metric.startswith(HIGHER_IS_BETTER)
