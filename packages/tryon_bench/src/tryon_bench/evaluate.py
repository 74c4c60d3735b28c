"""Evaluate the results of try-on methods: data set and folders in, an `Evaluation` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ._shared.assets import cache_dir
from ._shared.errors import ConfigError, DataError
from ._shared.logs import get_logger
from .data.predictions import resolve_predictions
from .data.registered import registered_predictions
from .data.sample import Dataset, Sample, clothing_mask
from .engine.evaluation import Evaluation, summarise, write_evaluation
from .engine.plan import Plan, Row
from .engine.run import run_plan
from .protocol.presets import load_protocol
from .protocol.schema import Protocol

_log = get_logger(__name__)


@dataclass(frozen=True)
class EvaluationRequest:
    """What a user asks for.

    Attributes:
        dataset: an opened pair list.
        folders: method -> folder of results.
        registry: file of registered methods, whose results are taken too.
        pattern: how the files in `folders` are named.
        protocols: names of presets, or TOML files.
        weights_dir: the user's weight files.
        random_seed: seeded random network weights; results are stamped NOT COMPARABLE.
        device: where networks run.
        allow: go on despite findings of the doctor.
    """

    dataset: Dataset
    folders: Mapping[str, Path]
    registry: Path | None
    pattern: str
    protocols: tuple[str, ...]
    weights_dir: Path | None = None
    random_seed: int | None = None
    device: str = "cpu"
    allow: bool = False


def evaluate_folders(
    request: EvaluationRequest,
    run_dir: Path,
    *,
    resume: bool = False,
    shard: tuple[int, int] = (0, 1),
    quiet: bool = False,
) -> Evaluation | None:
    """Resolve the files, let the doctor look at them, evaluate.

    Args:
        request: what is wanted.
        run_dir: where everything goes.
        resume: continue.
        shard: (index, number); under torchrun the first process sums up when all are done.
        quiet: no progress on stderr.

    Returns:
        The evaluation; None where another call or process sums up.

    Raises:
        ConfigError, DataError, CheckpointError, ResourceError: as the steps.
    """
    from .engine.processes import processes, wait_for_others

    dataset = request.dataset
    predictions = {
        name: resolve_predictions(dataset, folder, request.pattern, allow_missing=request.allow)
        for name, folder in request.folders.items()
    }
    if request.registry is not None:
        predictions |= registered_predictions(dataset, request.registry, allow_missing=request.allow)
    protocols = [load_protocol(name) for name in request.protocols]
    together = shard == processes() and shard[1] > 1
    if not together or shard[0] == 0:
        _require_sound(dataset, predictions, allow=request.allow)
    if together:  # nobody scores what the first process refuses: its error ends the others
        wait_for_others()
    plan = make_plan(
        dataset,
        predictions,
        protocols,
        weights_dir=request.weights_dir,
        random_seed=request.random_seed,
        device=request.device,
        allow=request.allow,
    )
    data = f"{dataset.root.name}, {dataset.pairs}#{dataset.list_hash}"
    evaluation = evaluate(plan, run_dir, data=data, resume=resume, shard=shard, quiet=quiet)
    if together:
        wait_for_others()
        if shard[0] == 0:
            return evaluate(plan, run_dir, data=data, resume=True, quiet=quiet)
    return evaluation


def _require_sound(dataset: Dataset, predictions: Mapping[str, Mapping[str, Path]], *, allow: bool) -> None:
    from .doctor.check import check
    from .doctor.findings import require_sound

    findings = check(dataset, predictions)
    for finding in findings:
        if finding.level == "warning" or (finding.level == "error" and allow):  # else it ends the evaluation
            _log.warning("%s", finding)
    require_sound(findings, allow=allow)


def make_plan(
    dataset: Dataset,
    predictions: Mapping[str, Mapping[str, Path]],
    protocols: Sequence[Protocol],
    *,
    weights_dir: Path | None = None,
    random_seed: int | None = None,
    device: str = "cpu",
    allow: bool = False,
) -> Plan:
    """What is evaluated: the rows that every method answers.

    Args:
        dataset: an opened pair list.
        predictions: method -> pair id -> image.
        protocols: answered in one pass.
        weights_dir: the user's weight files.
        random_seed: seeded random network weights; results are stamped NOT COMPARABLE.
        device: where networks run.
        allow: leave out rows that a method lacks or whose images cannot be read, and count them.

    Raises:
        ConfigError: no method, or a name that cannot stand in a table.
        DataError: rows without a result (unless allowed), or no row is left.
    """
    if not predictions:
        raise ConfigError("evaluate: no method; give at least one --pred NAME=DIR")
    samples = [s for s in dataset.samples if not _is_dropped_self_pair(s, dataset, protocols)]
    complete = [s for s in samples if all(s.pair_id in found for found in predictions.values())]
    if len(complete) < len(samples) and not allow:
        lacking = {name: sum(s.pair_id not in found for s in samples) for name, found in predictions.items()}
        gaps = ", ".join(f"{name} lacks {count}" for name, count in lacking.items() if count)
        raise DataError(
            f"evaluate: of {len(samples)} pairs {gaps}; complete them, or leave these out with --allow"
        )
    rows = tuple(_row(sample, predictions) for sample in complete)
    if not rows:
        raise DataError("evaluate: no pair is left that every method answers")
    return Plan(
        dataset.setting,
        rows,
        tuple(predictions),
        tuple(protocols),
        weights_dir,
        random_seed,
        device=device,
        allow=allow,
    )


def evaluate(
    plan: Plan,
    run_dir: Path,
    *,
    data: str,
    resume: bool = False,
    shard: tuple[int, int] = (0, 1),
    quiet: bool = False,
) -> Evaluation | None:
    """Run a plan and write its evaluation.

    Args:
        plan: as `make_plan` gives it.
        run_dir: where everything goes.
        data: name and hash of the pair list, for the reader.
        resume: continue.
        shard: (index, number); with several shards the last step is a call without them.
        quiet: no progress on stderr.

    Returns:
        The evaluation; None for one of several shards, which only leaves its chunks.

    Raises:
        ConfigError, DataError, CheckpointError, ResourceError: as `run_plan`.
    """
    run_plan(plan, run_dir, resume=resume, shard=shard, cache=cache_dir().parent / "features", quiet=quiet)
    if shard[1] > 1:
        return None
    evaluation = summarise(plan, run_dir, data=data)
    write_evaluation(evaluation, run_dir)
    return evaluation


def _is_dropped_self_pair(sample: Sample, dataset: Dataset, protocols: Sequence[Protocol]) -> bool:
    """A row whose garment is the one worn says nothing about the unpaired setting; all protocols must want it."""
    wanted = all(protocol.self_pairs == "keep" for protocol in protocols)
    return dataset.setting == "unpaired" and sample.self_pair and not wanted


def _row(sample: Sample, predictions: Mapping[str, Mapping[str, Path]]) -> Row:
    if sample.reference is None:
        raise DataError(f"{sample.pair_id}: no reference photo in the data set; expected one to compare with")
    return Row(
        sample.pair_id,
        sample.reference,
        sample.garment,
        {name: found[sample.pair_id] for name, found in predictions.items()},
        partial(clothing_mask, sample),
        sample.category,
    )
