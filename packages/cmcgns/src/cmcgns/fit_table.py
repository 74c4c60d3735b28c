"""A user's own table in, a pretrained model with its evaluation out: `cmcgns fit data.csv`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._shared.config import load_config
from ._shared.engine.device import resolve_device
from ._shared.errors import DataError
from ._shared.logs import get_logger
from .config import Config
from .data.config import data_config, open_data
from .doctor import Diagnosis, diagnosis_text, examine
from .encoders import PretrainedEncoder
from .evaluate import Evaluation, evaluate, evaluation_text, write_evaluation
from .recipes import recipe_path
from .train import pretrain
from .weights import load

log = get_logger(__name__)
MIN_PAIRS = 16
SMALL = 5000  # pairs below which the text tower is not trained: it would forget more than it learns


@dataclass(frozen=True)
class FitTableResult:
    """What `fit_table` did.

    Attributes:
        diagnosis: of the table.
        recipe: whose settings were used.
        steps: optimiser steps.
        evaluation: on the test side.
        run_dir: the model's run directory.
    """

    diagnosis: Diagnosis
    recipe: str
    steps: int
    evaluation: Evaluation
    run_dir: Path

    def to_json(self) -> dict[str, Any]:
        """All results."""
        return {
            "findings": self.diagnosis.findings,
            "recipe": self.recipe,
            "steps": self.steps,
            "evaluation": self.evaluation.to_json(),
            "model": str(self.run_dir),
        }

    def text(self) -> str:
        """The results for people."""
        head = f"{diagnosis_text(self.diagnosis)}\n\n{self.steps} steps with recipe {self.recipe}"
        return f"{head}\n\n{evaluation_text(self.evaluation)}\n{self.run_dir}"


def fit_table(
    data: Path,
    run_dir: Path,
    *,
    image_column: str | None = None,
    text_columns: Sequence[str] | None = None,
    patient_column: str | None = None,
    recipe: str | None = None,
    max_minutes: float | None = None,
    device: str = "auto",
    seed: int = 0,
    resume: bool = False,
    quiet: bool = False,
) -> FitTableResult:
    """Examine a table, split it by patient, pretrain, and evaluate the test side.

    Settings beside the recipe's: the batch is at most a quarter of the training pairs; with fewer than 5 000 pairs a
    pretrained text tower stays frozen; clusters are at most an eighth of the pairs.

    Args:
        data: a table, or any other data set.
        run_dir: where everything is written.
        image_column: guessed by usual names where None, like the others.
        text_columns: texts, joined in this order.
        patient_column: who the film is of.
        recipe: default: "tiny" on a CPU, "vit-b" on a graphics card.
        max_minutes: training time of a stage.
        device: "auto", "cpu", "cuda", ...
        seed: of weights and order.
        resume: continue an interrupted run.
        quiet: no progress.

    Raises:
        DataError: too few pairs, or the table cannot be used; the message names file and column.
    """
    target = resolve_device(device)
    name = recipe or ("tiny" if target.type == "cpu" else "vit-b")
    dataset = open_data(
        data_config(data, image_column=image_column, text_columns=text_columns, patient_column=patient_column)
    )
    diagnosis = examine(dataset, films=50, seed=seed, quiet=quiet)
    for finding in diagnosis.findings:
        log.warning("%s", finding)
    train = [pair for pair in dataset if pair.split == "train" and pair.report]
    if len(train) < MIN_PAIRS:
        raise DataError(
            f"{data.name}: {len(train)} training pairs; expected at least {MIN_PAIRS} films with a text"
        )
    config = _settings(name, len(train), seed, max_minutes)
    fitted = pretrain(config, run_dir, dataset=dataset, device=device, resume=resume, quiet=quiet)
    encoder = PretrainedEncoder(load(run_dir, device=device), run_dir.name)
    result = evaluate(encoder, dataset, quiet=quiet)
    write_evaluation(result, run_dir / "evaluation")
    return FitTableResult(diagnosis, name, fitted.last.step, result, run_dir)


def _settings(recipe: str, pairs: int, seed: int, max_minutes: float | None) -> Config:
    source = recipe_path(recipe)
    base = load_config(Config, source, (), {})
    flags: dict[str, Any] = {}
    for stage in ("stage1", "stage2"):
        batch = min(getattr(base, stage).batch_size, max(4, pairs // 4))
        flags |= {f"{stage}.batch_size": batch, f"{stage}.seed": seed, f"{stage}.max_minutes": max_minutes}
    flags["clusters.k"] = min(base.clusters.k, max(4, pairs // 8))
    if pairs < SMALL and base.model.text.pretrained and base.model.text.backbone != "tiny":
        flags["model.text.frozen"] = True
    return load_config(Config, source, (), flags)
