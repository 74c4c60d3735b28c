"""Static int8 quantisation of an exported graph by ONNX Runtime, and what it costs in Dice."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._shared.errors import DataError
from ._shared.files import atomic_path
from ._shared.metrics.overlap import dice
from .data.dataset import Case, Dataset, open_dataset
from .data.loading import load_case
from .runtime import OnnxRunner

CALIBRATION_SLICES = 64
SCORED_CASES = 20


def quantise(
    out: Path, graph: str, target: str, data: Path, register: Callable[[Collection[str]], None]
) -> dict[str, Any]:
    """Quantise `out/graph` into `out/target` and score both on a data set.

    Weights are int8 per channel, activations uint8, ranges from the least and greatest value (our choice). Slices of
    the training part calibrate; cases with masks of the testing part are scored, and those of the training part
    where the testing part has none, which the report says.

    Args:
        out: directory of the export.
        graph: file of the float32 graph.
        target: file of the int8 graph.
        data: data set of the kind that the model was trained on.
        register: called with the new file's name once it is there, so that the pipeline knows it.

    Raises:
        DataError: the data set has no masks, or other channels.
    """
    runner = OnnxRunner(out, graph)
    dataset = open_dataset(data)
    slices = list(calibration_slices(runner, dataset))
    _write_int8(out / graph, out / target, [_padded(runner, image) for image in slices])
    register([target])
    part, cases = _scored(dataset)
    scores = {
        name: [_case_dice(OnnxRunner(out, name), dataset, case) for case in cases] for name in (graph, target)
    }
    means = {name: float(np.nanmean(values)) for name, values in scores.items()}
    return {
        "calibration_slices": len(slices),
        "scored_part": part,
        "scored_cases": int(np.isfinite(scores[graph]).sum()),
        "dice_float32": means[graph],
        "dice_int8": means[target],
        "dice_loss": means[graph] - means[target],
        "bytes_float32": (out / graph).stat().st_size,
        "bytes_int8": (out / target).stat().st_size,
    }


def calibration_slices(runner: OnnxRunner, dataset: Dataset) -> Iterator[np.ndarray]:
    """Prepared slices (1, C, h, w), evenly over the training cases and inside each."""
    per_case = max(1, CALIBRATION_SLICES // len(dataset.training))
    step = max(1, len(dataset.training) // CALIBRATION_SLICES)
    for case in dataset.training[::step][:CALIBRATION_SLICES]:
        loaded = load_case(
            case,
            num_channels=runner.plan.num_channels,
            num_classes=len(runner.pipeline["classes"]),
            mask_values=dataset.mask_values,
        )
        prepared = runner.slices(loaded.image, loaded.spacing_mm)
        places = np.unique(np.linspace(0, len(prepared) - 1, min(per_case, len(prepared))).round().astype(int))
        yield from (prepared[i : i + 1] for i in places)


def _padded(runner: OnnxRunner, image: np.ndarray) -> np.ndarray:
    multiple, least = runner.pipeline["input"]["multiple_px"], runner.pipeline["input"]["least_px"]
    below, right = (max(least, side + -side % multiple) - side for side in image.shape[-2:])
    return np.pad(image, ((0, 0), (0, 0), (0, below), (0, right)), mode="edge")


def _write_int8(source: Path, target: Path, images: Sequence[np.ndarray]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.images, None)
            return None if image is None else {"image": image}

    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # the quantiser advises what is done here already
    try:
        with tempfile.TemporaryDirectory() as folder, atomic_path(target) as scratch:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(scratch),
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            )
    finally:
        logging.root.setLevel(level)


def _scored(dataset: Dataset) -> tuple[str, Sequence[Case]]:
    for part, cases in (("testing", dataset.testing), ("training", dataset.training)):
        if known := [case for case in cases if case.has_mask]:
            return part, known[:SCORED_CASES]
    raise DataError(f"{dataset.root.name}: no case with a mask, so the loss of Dice cannot be told")


def _case_dice(runner: OnnxRunner, dataset: Dataset, case: Case) -> float:
    """Mean Dice over the classes that the reference has; NaN where it has none."""
    count = len(runner.pipeline["classes"])
    loaded = load_case(
        case, num_channels=runner.plan.num_channels, num_classes=count, mask_values=dataset.mask_values
    )
    labels, reference = runner.segment(loaded.image, loaded.spacing_mm), loaded.mask
    if reference is None:
        return float("nan")
    values = [dice(labels == c, reference == c) for c in range(1, count) if (reference == c).any()]
    return float(np.mean(values)) if values else float("nan")
