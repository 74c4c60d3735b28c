"""One folder of results under all presets, and the gap between two protocols by cause."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .._shared.errors import ConfigError
from .._shared.metrics.statistics import patient_bootstrap
from ..data.sample import Dataset
from ..engine.evaluation import Evaluation
from ..evaluate import evaluate, make_plan
from ..protocol.diff import in_words
from ..protocol.presets import load_protocol, preset_names
from ..protocol.schema import Protocol, Region
from .mixing import Family, differing_groups, metric_name, mixtures, only
from .runnable import is_empty, runnable
from .shapley import shapley
from .variants import write_variants

_MOST_GROUPS = 6  # 64 protocols


@dataclass(frozen=True)
class Job:
    """What is explained, and with what.

    Attributes:
        dataset: rows.
        name: of the method.
        predictions: pair id -> result, one for every row.
        run_dir: where evaluations go.
        weights_dir: the user's weight files.
        random_seed: random weights; numbers are NOT COMPARABLE.
        device: where networks run.
        resume: continue.
        quiet: no progress.
    """

    dataset: Dataset
    name: str
    predictions: Mapping[str, Path]
    run_dir: Path
    weights_dir: Path | None = None
    random_seed: int | None = None
    device: str = "cpu"
    resume: bool = False
    quiet: bool = False

    def evaluated(
        self, methods: Mapping[str, Mapping[str, Path]], protocols: Sequence[Protocol], part: str
    ) -> Evaluation:
        """Evaluate in one decode pass."""
        plan = make_plan(
            self.dataset,
            methods,
            protocols,
            weights_dir=self.weights_dir,
            random_seed=self.random_seed,
            device=self.device,
        )
        data = f"{self.dataset.root.name}, {self.dataset.pairs}#{self.dataset.list_hash}"
        found = evaluate(plan, self.run_dir / part, data=data, resume=self.resume, quiet=self.quiet)
        if found is None:
            raise ConfigError("explain: runs as one process")
        return found


@dataclass(frozen=True)
class Effect:
    """What one cause does to the number.

    Attributes:
        cause: in words.
        change: of the number.
        low: bound of the 95 % interval over pairs; NaN for distances of sets.
        high: the other bound.
    """

    cause: str
    change: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Explanation:
    """A gap and its causes.

    Attributes:
        metric: family.
        region: all, clothing or person.
        first: stamp of the protocol of one's own number.
        second: stamp of the other protocol.
        own: value under the first.
        other: value of the same results under the second.
        low: bound of its 95 % interval, what another choice of as many pairs could give; NaN where there is none.
        high: the other bound.
        causes: choices of the protocol, largest first; they add up to other - own.
        what_if: how the value under the second would change if the results had been stored otherwise.
        published: the number that is to be reached, if any.
        n: pairs.
        warning: "" or NOT COMPARABLE.
    """

    metric: str
    region: str
    first: str
    second: str
    own: float
    other: float
    low: float
    high: float
    causes: tuple[Effect, ...]
    what_if: tuple[Effect, ...]
    published: float | None
    n: int
    warning: str

    @property
    def unexplained(self) -> float | None:
        """What is left of the gap to the published number when the protocol is the same."""
        return None if self.published is None else self.published - self.other


def under_all_presets(job: Job, names: Sequence[str] = ()) -> tuple[Evaluation, dict[str, list[str]]]:
    """Evaluate under every preset, in one decode pass, as far as the weight files at hand allow.

    Args:
        job: the folder.
        names: presets or files; all presets by default.

    Returns:
        The evaluation, and for each protocol what could not be computed and why.

    Raises:
        ConfigError: nothing can be computed.
        DataError, CheckpointError, ResourceError: as `evaluate`.
    """
    protocols, missing = [], {}
    for name in names or preset_names():
        protocol, lacking = runnable(
            load_protocol(name), job.weights_dir, random_weights=job.random_seed is not None
        )
        missing[protocol.name] = lacking
        if is_empty(protocol):
            missing[protocol.name] = [*lacking, "nothing is left of it"]
        else:
            protocols.append(protocol)
    if not protocols:
        raise ConfigError("explain: no protocol has a metric without missing weight files; give --weights-dir")
    return job.evaluated({job.name: job.predictions}, protocols, "presets"), missing


def explain_gap(
    job: Job, first: Protocol, second: Protocol, family: Family, region: Region, published: float | None = None
) -> Explanation:
    """Take the difference of a number under two protocols apart.

    Every group of choices in which they differ is exchanged in every combination (one decode pass); effects are
    Shapley values, so they do not depend on an order and add up. The rest of the gap to a published number has causes
    outside of the protocol; two common ones are tried on the results themselves.

    Raises:
        ConfigError: a protocol lacks the metric or the region, or they differ in too many ways.
        DataError, CheckpointError, ResourceError: as `evaluate`.
    """
    a, b = only(first, family, region), only(second, family, region)
    b = b.model_copy(update={"self_pairs": a.self_pairs})  # the same pairs, or effects could not be taken per pair
    groups = differing_groups(a, b, family, region, job.dataset.setting)
    if len(groups) > _MOST_GROUPS:
        raise ConfigError(
            f"explain: the protocols differ in {len(groups)} ways; at most {_MOST_GROUPS} are told apart"
        )
    mixed = mixtures(a, b, groups)
    evaluation = job.evaluated({job.name: job.predictions}, list(mixed.values()), "protocols")
    values = {
        subset: _values(evaluation, job.name, protocol, family, region) for subset, protocol in mixed.items()
    }
    own, other = (float(values[key].mean()) for key in (frozenset(), frozenset(groups)))
    low, high = _interval(evaluation, mixed[frozenset(groups)], family)
    changes = shapley(values) if groups else {}
    effects = [_effect(f"{cause}: {_choice(a, b, groups[cause])}", change) for cause, change in changes.items()]
    return Explanation(
        metric=family,
        region=region,
        first=first.stamp,
        second=second.stamp,
        own=own,
        other=other,
        low=low,
        high=high,
        causes=tuple(sorted(effects, key=lambda effect: -abs(effect.change))),
        what_if=tuple(_what_if(job, b, family, region, other)),
        published=published,
        n=len(job.dataset.samples),
        warning=evaluation.warning,
    )


def limited(dataset: Dataset, limit: int | None) -> Dataset:
    """At most so many rows, evenly spread over the list."""
    if limit is None or limit >= len(dataset.samples):
        return dataset
    chosen = np.linspace(0, len(dataset.samples) - 1, limit).round().astype(int)
    return replace(dataset, samples=tuple(dataset.samples[i] for i in dict.fromkeys(chosen.tolist())))


def _values(evaluation: Evaluation, method: str, protocol: Protocol, family: Family, region: Region) -> np.ndarray:
    """One number per pair, or one for the whole set."""
    name = metric_name(protocol, family)
    column = evaluation.column(method, protocol.stamp, name, region)
    if column:
        return np.array([column[pair_id] for pair_id in sorted(column)])
    found = [
        r.value
        for r in evaluation.results
        if (r.method, r.protocol, r.metric, r.region) == (method, protocol.stamp, name, region)
    ]
    if not found:
        raise ConfigError(f"explain: {name} of {region} is not defined in the {evaluation.setting} setting")
    return np.array(found[:1])


def _interval(evaluation: Evaluation, protocol: Protocol, family: Family) -> tuple[float, float]:
    name = metric_name(protocol, family)
    for result in evaluation.results:
        if (result.protocol, result.metric) == (protocol.stamp, name):
            return result.low, result.high
    return math.nan, math.nan


def _choice(a: Protocol, b: Protocol, fields: Sequence[str]) -> str:
    """What is exchanged, in words."""
    differing = [name for name in fields if getattr(a, name) != getattr(b, name)]
    sides = [" and ".join(dict.fromkeys(in_words(name, getattr(p, name)) for name in differing)) for p in (a, b)]
    return " -> ".join(sides)


def _effect(cause: str, change: np.ndarray) -> Effect:
    known = change[~np.isnan(change)]
    mean = float(known.mean()) if len(known) else math.nan
    if len(known) < 2 or not np.isfinite(known).all():
        return Effect(cause, mean)
    interval = patient_bootstrap(known, range(len(known)))
    return Effect(cause, mean, interval.low, interval.high)


def _what_if(job: Job, protocol: Protocol, family: Family, region: Region, base: float) -> list[Effect]:
    variants = write_variants(job.dataset, job.predictions, job.run_dir / "variants")
    named = {f"variant{i}": files for i, files in enumerate(variants.values())}
    evaluation = job.evaluated(named, [protocol], "variants-scored")
    return [
        Effect(cause, float(_values(evaluation, name, protocol, family, region).mean()) - base)
        for cause, name in zip(variants, named, strict=True)
    ]
