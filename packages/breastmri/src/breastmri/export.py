"""A trained model as ONNX with everything that is needed to use it elsewhere."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ._shared.errors import NumericsError
from ._shared.files import atomic_write, require_writable_dir
from ._shared.strict_json import to_json
from .attention import coam
from .classifier import Classifier

TOLERANCE = 1e-4
OUTPUTS = ("score", "uncalibrated_probability", "coam")


class ExportedNet(nn.Module):
    """Input (B, C, D, H, W) -> score (B, T), sigmoid of the loss's logit (B, T), COAM (B, D', H', W')."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.net, self.criterion = classifier.net, classifier.objective.criterion

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Everything that `predict` needs of the network."""
        features = self.net.features(image)
        scores = self.net.scores(self.net.outputs(features))
        return scores, self.criterion.logits(scores).sigmoid(), coam(features)


def export_onnx(classifier: Classifier, out: Path) -> dict[str, Any]:
    """Write `model.onnx` and `model.json` (preprocessing, calibration, cell grid, provenance), and check the parity.

    Args:
        classifier: the trained model.
        out: folder; created.

    Returns:
        The content of `model.json`.

    Raises:
        NumericsError: ONNX Runtime and PyTorch differ by more than 1e-4 of the output's range.
        ResourceError: the folder cannot be written.
    """
    require_writable_dir(out)
    path = out / "model.onnx"
    module = ExportedNet(classifier).cpu().eval()
    plan = classifier.plan
    example = torch.randn(2, plan.num_channels, *plan.size, generator=torch.Generator().manual_seed(0))
    try:
        _write(module, example, path)
        deviation = _deviation(module, example[:1], path)
    finally:
        classifier.objective.to(classifier.device)
    if deviation > TOLERANCE:
        path.unlink()
        raise NumericsError(f"ONNX Runtime and PyTorch differ by {deviation:.1e}, at most {TOLERANCE:.0e} may")
    document = _metadata(classifier, deviation)
    atomic_write(out / "model.json", to_json(document, indent=1) + "\n")
    return document


def _metadata(classifier: Classifier, deviation: float) -> dict[str, Any]:
    plan, cells = classifier.plan, classifier.net.cells
    calibrator = classifier.calibrator
    return {
        "package": "breastmri",
        "stamp": "trained on synthetic data: not for patients" if classifier.phantom else "",
        "input": {"name": "image", "channels": plan.channel_names, "axes": "batch, channel, slice, row, column"},
        "outputs": OUTPUTS,
        "preprocessing": plan.model_dump(),
        "calibration": None if calibrator is None else calibrator.model_dump(),
        "cells": {"stride": cells.stride, "offset": cells.offset},
        "model": classifier.config["model"],
        "loss": classifier.config["loss"],
        "weights_sha256": classifier.weights_sha256,
        "largest_deviation": deviation,
    }


def _write(module: nn.Module, example: Tensor, path: Path) -> None:
    import onnx  # noqa: F401  the exporter needs both: a missing one is named here
    import onnxscript  # noqa: F401

    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the exporter talks about its internals
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (example,),
                str(path),
                input_names=["image"],
                output_names=list(OUTPUTS),
                dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=64)}},
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        logging.disable(disabled)


def _deviation(module: nn.Module, image: Tensor, path: Path) -> float:
    """Largest difference of any output, relative to its range where that is above 1."""
    with torch.inference_mode():
        expected = [value.numpy() for value in module(image)]
    found = run_onnx(path, image.numpy())
    return max(
        float(np.abs(a - b).max() / max(1.0, float(np.abs(b).max()))) for a, b in zip(found, expected, strict=True)
    )


def run_onnx(path: Path, image: np.ndarray, threads: int = 0) -> list[np.ndarray]:
    """Outputs of an exported model, see `OUTPUTS`."""
    outputs: list[np.ndarray] = onnx_session(path, threads).run(None, {"image": image})
    return outputs


def onnx_session(path: Path, threads: int = 0) -> Any:
    """ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
