"""Run an exported model with numpy and ONNX Runtime alone: nothing here imports torch.

`OnnxRunner("exported").segment(image, spacing_mm)`, or `python -m mslaunet.runtime exported scan.nii.gz mask.nii.gz`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from ._shared.errors import CheckpointError, ConfigError, QuartetError
from ._shared.files import sha256_file
from ._shared.io.images import write_png
from ._shared.io.volumes import write_volume
from .data.dataset import Case, is_volume, split_suffix
from .data.loading import load_case, slices_last
from .postprocess import PostProcessing, postprocess
from .preprocess import Preprocessing

PIPELINE = "pipeline.json"


class OnnxRunner:
    """A directory of `mslaunet export` as a function from an image to labels on the image's own grid.

    Args:
        directory: holds `pipeline.json` and the graph.
        graph: name of the graph's file.
        threads: of ONNX Runtime; None: as many as there are cores.

    Raises:
        CheckpointError: a file is missing, damaged, or of another export.
    """

    def __init__(self, directory: Path, graph: str = "model.onnx", threads: int | None = None) -> None:
        import onnxruntime

        self.pipeline = _read_pipeline(directory)
        if graph not in self.pipeline["files"]:
            held = ", ".join(self.pipeline["files"])
            raise CheckpointError(f"{directory.name}: no {graph} in this export; it has {held}")
        path = directory / graph
        if not path.is_file() or sha256_file(path) != self.pipeline["files"][graph]:
            raise CheckpointError(f"{directory.name}/{graph}: missing or damaged; export again")
        try:
            self.plan = Preprocessing(**self.pipeline["preprocessing"])
            steps = self.pipeline["postprocessing"]
            self.postprocessing = None if steps is None else PostProcessing.model_validate(steps)
        except ValidationError as err:
            raise CheckpointError(f"{directory.name}/{PIPELINE}: not of this version; export again") from err
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def logits(self, batch: np.ndarray) -> np.ndarray:
        """Normalised slices (B, C, h, w) float32 to logits (B, K, h, w): pads, runs the graph, crops."""
        height, width = batch.shape[-2:]
        multiple, least = self.pipeline["input"]["multiple_px"], self.pipeline["input"]["least_px"]
        below, right = (max(least, side + -side % multiple) - side for side in (height, width))
        padded = np.pad(batch, ((0, 0), (0, 0), (0, below), (0, right)), mode="edge")
        return self.session.run(None, {"image": padded.astype(np.float32)})[0][..., :height, :width]

    def slices(self, image: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
        """Raw intensities (C, D, H, W) to what the graph reads, (D, C', h, w)."""
        size = self.plan.plane_size(image.shape[-2:], spacing_mm[1:])
        planes = self.plan.normalise(image)
        if planes.shape[-2:] != size:
            planes = (
                self.plan.resize_image(planes, size)
                if self.plan.zoom_edge
                else bilinear(planes, size, antialias=True)
            )
        reach, depth = self.plan.context_slices, image.shape[1]
        places = [np.arange(depth) + offset for offset in range(-reach, reach + 1)]
        around = np.concatenate([planes[:, place.clip(0, depth - 1)] for place in places])
        return np.ascontiguousarray(around.transpose(1, 0, 2, 3), np.float32)

    def segment(self, image: np.ndarray, spacing_mm: Sequence[float], batch_size: int = 4) -> np.ndarray:
        """Segment a case slab by slab.

        Args:
            image: (C, D, H, W) raw intensities; 2-D images in [0, 1] with D = 1.
            spacing_mm: spacing of D, H, W.
            batch_size: slices per run of the graph.

        Returns:
            Label ids (D, H, W), uint8 (uint16 above 256 classes).
        """
        prepared, native = self.slices(image, spacing_mm), image.shape[-2:]
        parts = [
            self._labels(self.logits(prepared[i : i + batch_size]), native)
            for i in range(0, len(prepared), batch_size)
        ]
        labels = np.concatenate(parts).astype(np.uint8 if len(self.pipeline["classes"]) <= 256 else np.uint16)
        if self.postprocessing is not None:
            labels = postprocess(labels, self.postprocessing, tuple(spacing_mm))
        return labels

    def _labels(self, logits: np.ndarray, native: tuple[int, int]) -> np.ndarray:
        if logits.shape[-2:] == native:
            return logits.argmax(1)
        if not self.plan.argmax_before_resize:
            return bilinear(softmax(logits), native).argmax(1)
        labels = logits.argmax(1).astype(np.int32)
        return self.plan.resize_mask(labels, native) if self.plan.zoom_edge else nearest(labels, native)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the classes (B, K, h, w)."""
    exponent = np.exp(logits - logits.max(1, keepdims=True))
    return exponent / exponent.sum(1, keepdims=True)


def bilinear(planes: np.ndarray, size: tuple[int, int], *, antialias: bool = False) -> np.ndarray:
    """Resize the last two axes with pixel centres in place, averaging when shrinking if `antialias`.

    Example:
        >>> bilinear(np.array([[0.0, 1.0]]), (1, 4)).round(2).tolist()
        [[0.0, 0.25, 0.75, 1.0]]
    """
    rows, columns = (
        _weights(planes.shape[axis], length, antialias=antialias)
        for axis, length in zip((-2, -1), size, strict=True)
    )
    return (rows @ planes @ columns.T).astype(planes.dtype)


def _weights(before: int, after: int, *, antialias: bool) -> np.ndarray:
    """(after, before) weights of linear interpolation, a triangle as wide as an output pixel when shrinking."""
    scale = before / after
    centres = (np.arange(after)[:, None] + 0.5) * scale - 0.5
    if not antialias:
        centres = centres.clip(0, before - 1)
    width = max(scale, 1.0) if antialias else 1.0
    weights = (1 - abs(np.arange(before) - centres) / width).clip(0)
    return weights / weights.sum(1, keepdims=True)


def nearest(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize label slices (D, h, w) by the nearest pixel centre."""
    rows, columns = (
        ((np.arange(after, dtype=np.float32) + 0.5) * np.float32(before / after)).astype(int).clip(0, before - 1)
        for before, after in zip(labels.shape[-2:], size, strict=True)
    )
    return labels[:, rows][:, :, columns]


def segment_file(directory: Path, source: Path, target: Path) -> Path:
    """Segment one image or volume file and write its mask: NIfTI on the source's grid, or PNG.

    Raises:
        QuartetError: the model, the image or the target cannot be used.
    """
    runner = OnnxRunner(directory)
    wanted = ".nii.gz" if is_volume(source) else ".png"
    if split_suffix(target)[1] != wanted:
        raise ConfigError(f"{target.name}: the mask of {source.name} must end in {wanted}")
    case = Case(split_suffix(source)[0], (source,))
    loaded = load_case(case, num_channels=runner.plan.num_channels, num_classes=len(runner.pipeline["classes"]))
    runner.plan.require_kind(loaded.image, source.name, is_volume=case.is_volume)
    labels = runner.segment(loaded.image, loaded.spacing_mm)
    if loaded.volume is not None:
        write_volume(target, slices_last(labels), like=loaded.volume, dtype=labels.dtype)
        return target
    pixel_of = {label: int(pixel) for pixel, label in runner.pipeline["mask_values"].items()}
    table = np.array([pixel_of.get(i, i) for i in range(len(runner.pipeline["classes"]))], labels.dtype)
    write_png(target, table[labels[0]])
    return target


def _read_pipeline(directory: Path) -> dict[str, Any]:
    path = directory / PIPELINE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise CheckpointError(f"{directory.name}/{PIPELINE}: missing or damaged; export again") from err
    needed = {"files", "preprocessing", "postprocessing", "classes", "mask_values", "input"}
    if not isinstance(content, dict) or not needed <= content.keys():
        raise CheckpointError(f"{directory.name}/{PIPELINE}: not a pipeline of `mslaunet export`; export again")
    return content


def main(arguments: Sequence[str]) -> int:
    """`python -m mslaunet.runtime EXPORT IMAGE MASK`: exit code as of the `mslaunet` command."""
    if len(arguments) != 3:
        sys.stderr.write("usage: python -m mslaunet.runtime EXPORT IMAGE MASK\n")
        return ConfigError.exit_code
    try:
        segment_file(*(Path(argument) for argument in arguments))
    except QuartetError as err:
        sys.stderr.write(f"error: {err}\n")
        return err.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
