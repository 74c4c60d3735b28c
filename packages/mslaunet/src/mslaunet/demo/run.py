"""Learn one patient's CT, segment the other one, and say honestly what that shows.

The masks of both CTs were made by a network (TotalSegmentator), not drawn by people: silver labels. Two patients
support no claim about accuracy; the demo shows that everything works on real data, and that training beats what
needs no training.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.config import to_toml
from .._shared.engine.device import resolve_device
from .._shared.errors import ConfigError, DataError
from .._shared.files import atomic_write, require_writable_dir
from .._shared.io.volumes import read_labels
from ..config import Config
from ..data.dataset import Case, open_dataset
from ..data.loading import LoadedCase, load_case, slices_first
from ..evaluate import Evaluation, class_mean, evaluate_pairs
from ..pairs import MaskPair
from ..predict import Predictor, predict_files
from ..report import text_table
from ..train import TrainingData, prepare_training
from .dataset import write_demo_dataset
from .methods import BACKGROUND, NEAREST, OURS, UNET, demo_config, train_ours, train_unet, trivial_methods
from .report import CAVEAT, demo_report, method_table, overview_png, training_curves


@dataclass(frozen=True)
class DemoResult:
    """What the demo found; `beats_trivial` decides its exit code."""

    table: tuple[list[str], list[list[str]]]
    held_out: dict[str, Evaluation]
    other_patient: dict[str, Evaluation]
    beats_trivial: bool
    prediction: Path
    picture: Path
    report: Path

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        header, rows = self.table
        return {
            "note": CAVEAT,
            "table": [dict(zip(header, row, strict=True)) for row in rows],
            "held_out": {name: evaluation.to_json() for name, evaluation in self.held_out.items()},
            "other_patient": {name: evaluation.to_json() for name, evaluation in self.other_patient.items()},
            "beats_trivial": self.beats_trivial,
            "prediction": str(self.prediction),
            "picture": str(self.picture),
            "report": str(self.report),
        }


def run_demo(
    run_dir: Path,
    *,
    max_minutes: float = 3.0,
    max_steps: int = 100_000,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
) -> DemoResult:
    """Train on patient A, judge on A's held-out slices and on patient B, write mask, picture and report.

    Args:
        run_dir: where everything is written.
        max_minutes: training time of each of the two networks, minutes.
        max_steps: optimiser steps of each, if they are done before the time is up.
        seed: of weights, order and augmentation.
        device: "auto", "cpu", "cuda", ...
        resume: go on where an interrupted demo stopped; a finished one is only evaluated again, and one with
            other settings is trained beside it.
        quiet: no progress.

    Raises:
        DataError: the real data are not there (`make assets`).
        ConfigError: `run_dir` holds a demo already and `resume` is off.
    """
    if (run_dir / "dataset").exists() and not resume:
        raise ConfigError(
            f"{run_dir.name}: holds a demo already; go on with --resume, or choose another --run-dir"
        )
    require_writable_dir(run_dir)
    write_demo_dataset(run_dir / "dataset")
    dataset = open_dataset(run_dir / "dataset")
    root = (run_dir / "dataset").resolve()
    config = demo_config(root, max_minutes=max_minutes, max_steps=max_steps, seed=seed)
    ours_dir, unet_dir = (run_dir / f"{name}-{_fingerprint(config)}" for name in ("mslaunet", "monai_unet"))
    cache = run_dir / "cache"
    data = prepare_training(dataset, config, cache, quiet=quiet)
    options: dict[str, Any] = {"device": device, "resume": resume, "quiet": quiet, "cache": cache}
    methods = [
        train_ours(config, ours_dir, **options),
        train_unet(config, data, unet_dir, **options),
        *trivial_methods(data, resolve_device(device)),
    ]
    patient_a, patient_b = (_load(case, data) for case in (dataset.training[0], dataset.testing[0]))
    blocks = held_out_blocks(data)
    held_out = {m.name: _evaluate_blocks(m.predictor, patient_a, blocks, dataset.classes) for m in methods}
    prediction = run_dir / "prediction.nii.gz"
    prediction.unlink(missing_ok=True)
    predict_files(methods[0].predictor, [Case("prediction", dataset.testing[0].images)], run_dir, quiet=quiet)
    written = slices_first(read_labels(prediction).array)
    pairs = {OURS: MaskPair("patient_b", written, _reference(patient_b), patient_b.spacing_mm)}
    pairs |= {m.name: _pair("patient_b", m.predictor, patient_b) for m in methods if m.name != OURS}
    other = {name: evaluate_pairs([pair], dataset.classes) for name, pair in pairs.items()}
    table = method_table(methods, held_out, other)
    picture = overview_png(methods[:2], patient_a, patient_b, blocks, dataset.classes)
    atomic_write(run_dir / "overview.png", picture)
    curves = training_curves({OURS: ours_dir, UNET: unet_dir})
    page = demo_report(table, held_out[OURS], other[OURS], picture, curves, max_minutes)
    atomic_write(run_dir / "report.html", page)
    dice = {name: class_mean(evaluation, "dice").mean for name, evaluation in held_out.items()}
    return DemoResult(
        table,
        held_out,
        other,
        dice[OURS] > max(dice[NEAREST], dice[BACKGROUND]),
        prediction,
        run_dir / "overview.png",
        run_dir / "report.html",
    )


def demo_text(result: DemoResult) -> str:
    """The table, what it means, and where everything is."""
    verdict = "beats" if result.beats_trivial else "DOES NOT BEAT"
    return "\n".join(
        [
            text_table(*result.table),
            f"On held-out slices of the training patient, ours {verdict} both trivial methods.",
            f"Other patient: {CAVEAT}.",
            f"prediction  {result.prediction}",
            f"picture     {result.picture}",
            f"report      {result.report}",
        ]
    )


def _fingerprint(config: Config) -> str:
    """Names the training runs, so that other settings never continue, or overwrite, an older run."""
    return hashlib.sha256(to_toml(config).encode()).hexdigest()[:8]


def held_out_blocks(data: TrainingData) -> list[range]:
    """Runs of neighbouring held-out slices of the training patient."""
    slices = {z for _, z in data.split.validation}
    starts = sorted(z for z in slices if z - 1 not in slices)
    ends = sorted(z + 1 for z in slices if z + 1 not in slices)
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]


def _load(case: Case, data: TrainingData) -> LoadedCase:
    return load_case(case, num_channels=data.plan.num_channels, num_classes=len(data.dataset.classes))


def _evaluate_blocks(
    predictor: Predictor, loaded: LoadedCase, blocks: Sequence[range], classes: Mapping[int, str]
) -> Evaluation:
    pairs = []
    for block in blocks:
        where = slice(block.start, block.stop)
        part = dataclasses.replace(loaded, image=loaded.image[:, where], mask=_reference(loaded)[where])
        pairs.append(_pair(f"slices {block.start} to {block.stop - 1}", predictor, part))
    return evaluate_pairs(pairs, classes)


def _pair(name: str, predictor: Predictor, loaded: LoadedCase) -> MaskPair:
    return MaskPair(name, predictor.predict(loaded), _reference(loaded), loaded.spacing_mm)


def _reference(loaded: LoadedCase) -> np.ndarray:
    if loaded.mask is None:
        raise DataError("a case of the demo has no mask; remove its dataset folder and fetch the assets again")
    return loaded.mask
