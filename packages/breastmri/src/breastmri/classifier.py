"""A trained model ready for use: scores, calibrated probabilities and maps of breasts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._shared.checkpoints import load_model
from ._shared.engine.device import resolve_device
from ._shared.errors import CheckpointError
from ._shared.files import sha256_file
from .calibration import Calibrator
from .config import LossConfig
from .model import BreastNet
from .preprocess import BreastInput, Preprocessing
from .saliency import flip_sets
from .task import Objective

CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True, eq=False)
class Classifier:
    """Network, loss, preprocessing and calibration of a trained model, in eval mode.

    Attributes:
        objective: the network with its loss.
        plan: how a breast becomes its input.
        config: what was stored beside the weights.
        calibrator: fitted by `breastmri calibrate`, or None.
        device: where it computes.
        weights_sha256: of the weights' file.
    """

    objective: Objective
    plan: Preprocessing
    config: dict[str, Any]
    calibrator: Calibrator | None
    device: torch.device
    weights_sha256: str

    @property
    def net(self) -> BreastNet:
        """The network."""
        return self.objective.net

    @property
    def phantom(self) -> bool:
        """Whether it was trained on synthetic breasts: everything it says is then stamped, and not for patients."""
        return bool(self.config.get("phantom"))

    def scores(self, breasts: Sequence[BreastInput], *, batch_size: int = 4, flips: int = 1) -> np.ndarray:
        """Scores (n,) float64: cosines, differences of cosines, or logits; the mean over flips of the input."""
        found: list[Tensor] = []
        with torch.inference_mode():
            for x in self.batches(breasts, batch_size):
                views = [self.net(x.flip(axes))[:, 0].double() for axes in flip_sets(flips)]
                found.append(torch.stack(views).mean(0).cpu())
        return torch.cat(found).numpy() if found else np.empty(0)

    def probs(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities (n,) of scores: calibrated where a calibration is there, else the training loss's own."""
        if self.calibrator is not None:
            return self.calibrator(scores)
        return self.uncalibrated(scores)

    def uncalibrated(self, scores: np.ndarray) -> np.ndarray:
        """Sigmoid of the loss's logit, over-confident by construction for margin losses."""
        with torch.inference_mode():
            logits = self.objective.criterion.logits(torch.from_numpy(np.asarray(scores, np.float64)))
            return logits.sigmoid().cpu().numpy()

    def embeddings(self, breasts: Sequence[BreastInput], *, batch_size: int = 4) -> np.ndarray:
        """Pooled features (n, C), which the site probe reads."""
        with torch.inference_mode():
            found = [self.net.pool(self.net.features(x)).float().cpu() for x in self.batches(breasts, batch_size)]
        return torch.cat(found).numpy()

    def batches(self, breasts: Sequence[BreastInput], batch_size: int) -> Iterator[Tensor]:
        """Stacked inputs (B, C, D, H, W) on the device, in order."""
        for first in range(0, len(breasts), batch_size):
            group = [breasts[i].array for i in range(first, min(first + batch_size, len(breasts)))]
            yield torch.from_numpy(np.stack(group)).to(self.device)


def load_classifier(path: Path, *, device: str = "auto") -> Classifier:
    """Load a run directory (its best weights), or a model directory.

    Raises:
        CheckpointError: missing, damaged, another package's, or with a calibration of other weights.
        ResourceError: no such device.
    """
    directory = model_directory(path)
    tensors, config = load_model(directory)
    if config.get("package") != "breastmri":
        raise CheckpointError(
            f"{path.name}: a model of {config.get('package', 'unknown')}, expected one of breastmri"
        )
    objective = _objective(tensors, config, path.name)
    target = resolve_device(device)
    digest = sha256_file(directory / "model.safetensors")
    return Classifier(
        objective.to(target).eval(),
        Preprocessing(**config["preprocessing"]),
        config,
        _calibrator(path, digest),
        target,
        digest,
    )


def model_directory(path: Path) -> Path:
    """Where the weights of a run directory or model directory are."""
    best = path / "checkpoints" / "best"
    return best if best.is_dir() else path


def _objective(tensors: dict[str, Tensor], config: dict[str, Any], name: str) -> Objective:
    try:
        objective = Objective(BreastNet(**config["model"]), LossConfig(**config["loss"]), 0)
        objective.load_state_dict(tensors)
    except (RuntimeError, KeyError, TypeError) as err:
        raise CheckpointError(f"{name}: the weights do not fit the stored configuration; train again") from err
    return objective


def _calibrator(path: Path, digest: str) -> Calibrator | None:
    file = path / CALIBRATION_FILE
    if not file.is_file():
        return None
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        calibrator = Calibrator.model_validate(stored["calibrator"])
    except (ValueError, KeyError, TypeError) as err:
        raise CheckpointError(f"{file.name}: damaged; run breastmri calibrate again") from err
    if stored.get("weights_sha256") != digest:
        raise CheckpointError(
            f"{file.name}: fitted for other weights than those of {path.name}; run breastmri calibrate again"
        )
    return calibrator
