"""A trained model as files that other programs run, with everything needed before and after the network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ._shared.checkpoints import load_strict
from ._shared.errors import ConfigError, NumericsError
from ._shared.files import atomic_write, require_writable_dir, sha256_file
from ._shared.logs import get_logger
from ._shared.strict_json import to_json
from .graph import MIN_SIDE_PX, export_program, write_onnx, write_program
from .model import STRIDE, MSLAUNet
from .predict import read_model
from .predict.loading import read_postprocessing
from .preprocess import Preprocessing
from .quantise import quantise
from .runtime import PIPELINE, OnnxRunner

log = get_logger(__name__)

Format = Literal["onnx", "torch"]
FILES: dict[str, str] = {"onnx": "model.onnx", "torch": "model.pt2", "int8": "model-int8.onnx"}
TOLERANCE = 1e-3  # of logits, relative to the largest; float32 graphs stay near 1e-6

# Batch, height, width of the images on which the exported graphs are compared with the network.
PARITY_SHAPES = ((1, 64, 64), (2, 96, 160), (1, 224, 224), (3, 70, 100))


def export_model(
    source: Path,
    out: Path,
    *,
    formats: Collection[Format] = frozenset({"onnx"}),
    int8: Path | None = None,
) -> dict[str, Any]:
    """Write the folded network of a run or model directory into `out`.

    Files: `model.onnx` (batch, height and width free), `model.pt2` (torch.export), `model-int8.onnx` (static
    quantisation of ONNX Runtime), `pipeline.json` (all that happens before and after the graph, with the graphs'
    hashes) and `parity.json` (how far each graph is from the network).

    Args:
        source: a run directory or a model directory.
        out: an empty or new folder.
        formats: graphs to write; int8 needs "onnx".
        int8: a data set with masks: its training slices calibrate the int8 graph, its Dice is compared.

    Returns:
        What `parity.json` holds.

    Raises:
        CheckpointError: `source` is no model.
        ConfigError: `out` holds files, or int8 without onnx.
        NumericsError: a graph does not compute what the network computes.
        ResourceError: a file cannot be written.
    """
    if int8 is not None and "onnx" not in formats:
        raise ConfigError("--int8 quantises the ONNX graph: use --format onnx or both")
    tensors, config = read_model(source)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out.name}: exists and is not an empty folder; choose another, nothing was written")
    require_writable_dir(out)
    model = MSLAUNet(**config["model"] | {"trained_size": None})  # random images of any size must not warn
    load_strict(model, tensors, source.name)
    model = model.float().eval()
    program = export_program(model)
    written = {FILES[name] for name in formats}
    if "torch" in formats:
        write_program(program, out / FILES["torch"])
    if "onnx" in formats:
        write_onnx(program, out / FILES["onnx"])
    _write_pipeline(out, source, config, written)
    report: dict[str, Any] = {"parity": _parity(model, out, formats)}
    if int8 is not None:
        report["int8"] = quantise(
            out,
            FILES["onnx"],
            FILES["int8"],
            int8,
            lambda files: _write_pipeline(out, source, config, written | set(files)),
        )
    atomic_write(out / "parity.json", to_json(report, indent=2) + "\n")
    return report


def export_text(report: dict[str, Any], out: Path) -> str:
    """The report as lines."""
    lines = [
        f"{name}: largest relative difference of logits {values['relative']:.1e}, labels equal "
        f"{100 * values['labels_equal']:.2f} %"
        for name, values in report["parity"].items()
    ]
    if "int8" in report:
        int8 = report["int8"]
        lines.append(
            f"model-int8.onnx: Dice {int8['dice_int8']:.4f}, float32 {int8['dice_float32']:.4f}, loss "
            f"{int8['dice_loss']:+.4f} over {int8['scored_cases']} {int8['scored_part']} cases"
        )
    return "\n".join([*lines, str(out)])


def _write_pipeline(out: Path, source: Path, config: dict[str, Any], files: Collection[str]) -> None:
    plan = Preprocessing(**config["preprocessing"])
    chosen = read_postprocessing(source)
    pipeline = {
        "package": "mslaunet",
        "format": 1,
        "files": {name: sha256_file(out / name) for name in sorted(files)},
        "input": {
            "name": "image",
            "layout": "batch, channels, rows, columns; float32",
            "channels": plan.input_channels,
            "multiple_px": STRIDE,
            "least_px": MIN_SIDE_PX,
            "padding": "repeat the last row and column below and to the right, crop the logits back",
        },
        "output": {"name": "logits", "layout": "batch, classes, rows, columns; float32, not normalised"},
        "preprocessing": plan.model_dump(),
        "postprocessing": None if chosen is None else chosen.model_dump(),
        "classes": config["classes"],
        "mask_values": config["mask_values"],
        "model": config["model"],
    }
    atomic_write(out / PIPELINE, to_json(pipeline, indent=2) + "\n")


def _parity(model: MSLAUNet, out: Path, formats: Collection[Format]) -> dict[str, dict[str, float]]:
    """Each graph against the network as it was trained, not folded, on random images of several sizes."""
    report = {}
    for name in sorted(formats):
        if name == "onnx":
            values = _compare(model, _run_onnx(OnnxRunner(out, FILES["onnx"])), PARITY_SHAPES)
        else:  # a torch graph does not pad
            graph = torch.export.load(out / FILES["torch"]).module()
            values = _compare(model, graph, [shape for shape in PARITY_SHAPES if shape[1] % STRIDE == 0])
        report[FILES[name]] = values
        if values["relative"] > TOLERANCE:
            raise NumericsError(
                f"{FILES[name]}: logits differ from the network's by {values['relative']:.1e} of the largest, "
                f"expected below {TOLERANCE:.0e}; do not use this file"
            )
    return report


def _run_onnx(runner: OnnxRunner) -> Callable[[Tensor], Tensor]:
    return lambda image: torch.from_numpy(runner.logits(image.numpy()))


def _compare(
    model: MSLAUNet, graph: Callable[[Tensor], Tensor], shapes: Sequence[tuple[int, int, int]]
) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)
    worst, equal, total = 0.0, 0, 0
    for batch, height, width in shapes:
        image = torch.randn(batch, model.config["in_channels"], height, width, generator=generator)
        with torch.inference_mode():
            expected, received = model(image), graph(image)
        worst = max(worst, float((received - expected).abs().max() / expected.abs().max()))
        equal += int((received.argmax(1) == expected.argmax(1)).sum())
        total += batch * height * width
    return {"relative": worst, "labels_equal": equal / total, "pixels": total}
