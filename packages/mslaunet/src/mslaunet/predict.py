"""Images in, masks on their own grid out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._shared.checkpoints import load_model, load_strict
from ._shared.engine.device import resolve_device
from ._shared.errors import CheckpointError, ConfigError, DataError
from ._shared.files import require_writable_dir
from ._shared.io.images import write_png
from ._shared.io.volumes import read_labels, require_same_grid, write_volume
from ._shared.logs import get_logger, progress
from .data.dataset import Case, image_files, is_volume, split_suffix
from .data.loading import LoadedCase, load_case, slices_last
from .model import MSLAUNet
from .preprocess import Preprocessing, resize_planes

log = get_logger(__name__)


@dataclass(frozen=True)
class Predictor:
    """A trained network with all that leads from a file to a mask on the file's own grid.

    Attributes:
        model: (B, C, H, W) in [-1, 1] -> logits (B, K, H, W), in eval mode on `device`.
        plan: the preprocessing of training.
        classes: label id to name.
        mask_values: pixel value to label id of 2-D masks; empty: the pixel value is the label id.
        device: where the network runs.
        batch_size: slices per forward pass.
    """

    model: nn.Module
    plan: Preprocessing
    classes: dict[int, str]
    mask_values: dict[int, int]
    device: torch.device
    batch_size: int = 4

    def predict(self, loaded: LoadedCase) -> np.ndarray:
        """Label ids (D, H, W) on the case's own grid, uint8 (uint16 above 255 classes).

        Slices go through one batch after the other: logits are brought to the native size and reduced to labels at
        once, so the class scores of the whole volume never exist together.
        """
        depth, height, width = loaded.image.shape[1:]
        size = self.plan.plane_size((height, width), loaded.spacing_mm[1:])
        image = self.plan.normalise(loaded.image)
        labels = np.empty((depth, height, width), np.uint8 if len(self.classes) <= 256 else np.uint16)
        for start in range(0, depth, self.batch_size):
            planes = resize_planes(image[:, start : start + self.batch_size], size)
            labels[start : start + planes.shape[1]] = self._label_batch(planes, (height, width))
        return labels

    @torch.inference_mode()
    def _label_batch(self, planes: np.ndarray, native: tuple[int, int]) -> np.ndarray:
        batch = torch.from_numpy(np.ascontiguousarray(planes.transpose(1, 0, 2, 3))).to(self.device)
        logits = self.model(batch).float()
        if logits.shape[-2:] != native:
            logits = F.interpolate(logits, size=native, mode="bilinear")
        return logits.argmax(1).cpu().numpy()


def load_predictor(path: Path, *, device: str = "auto") -> Predictor:
    """Load a model directory, or the best weights of a run directory.

    Raises:
        CheckpointError: no weights there, or they are damaged or belong to something else.
        ResourceError: the device does not exist.
    """
    where = resolve_device(device)
    tensors, config = read_model(path)
    model = MSLAUNet(**config["model"])
    load_strict(model, tensors, path.name)
    return Predictor(
        model.eval().to(where),
        Preprocessing(**config["preprocessing"]),
        {int(k): v for k, v in config["classes"].items()},
        {int(k): v for k, v in config["mask_values"].items()},
        where,
    )


def read_model(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and configuration of a model directory, or of the best weights of a run directory.

    Raises:
        CheckpointError: no weights there, or they are damaged or belong to something else.
    """
    tensors, config = load_model(model_directory(path))
    parts = ("model", "preprocessing", "classes", "mask_values")
    if config.get("package") != "mslaunet" or not config.get("model") or not all(part in config for part in parts):
        raise CheckpointError(
            f"{path.name}: not an mslaunet model; give a run directory or a directory of `convert`"
        )
    return tensors, config


def model_directory(path: Path) -> Path:
    """The best weights of a run directory; any other path as it is.

    Raises:
        CheckpointError: there is nothing.
    """
    if not path.exists():
        raise CheckpointError(f"{path.name}: no such model; give a run directory or a model directory")
    best = path / "checkpoints" / "best"
    return best if best.is_dir() else path


def find_cases(path: Path, num_channels: int) -> list[Case]:
    """The cases under a path: one file, or a folder whose files are one case each.

    Several channels in separate files follow nnU-Net's `<case>_0000.nii.gz` names.
    """
    files = [path] if path.is_file() else image_files(path)
    needed = num_channels if is_volume(files[0]) else 1
    names = {p: split_suffix(p)[0] for p in files}
    endings = tuple(f"_{channel:04d}" for channel in range(needed))
    if all(name.endswith(endings) for name in names.values()):
        names = {p: name[:-5] for p, name in names.items()}
    groups: dict[str, list[Path]] = {}
    for p in files:
        groups.setdefault(names[p], []).append(p)
    for name, members in groups.items():
        if len(members) != needed:
            raise DataError(
                f"{name}: found {len(members)} files, the model needs {needed} (endings {', '.join(endings)})"
            )
    return [Case(name, tuple(members)) for name, members in groups.items()]


def predict_files(
    predictor: Predictor, cases: Sequence[Case], out: Path, *, resume: bool = False, quiet: bool = False
) -> list[Path]:
    """Write one mask per case into `out`, on the grid and affine of its image; return the paths.

    Volumes become `<case>.nii.gz`; 2-D images become `<case>.png` with label ids, or 0 and 255 after training on
    binary masks. Each file is written atomically; a volume is read back, and its grid must equal the source's.

    Raises:
        ConfigError: an output exists and `resume` is off.
        DataError: an input cannot be read, or the mask does not come back on the image's grid.
        ResourceError: the output cannot be written.
    """
    require_writable_dir(out)
    targets = {case.case_id: out / f"{case.case_id}{'.nii.gz' if case.is_volume else '.png'}" for case in cases}
    if len(targets) < len(cases):
        raise DataError(
            f"{len(cases)} inputs give only {len(targets)} output names; keep names unique without suffix"
        )
    existing = [p for p in targets.values() if p.exists()]
    if existing and not resume:
        raise ConfigError(
            f"{existing[0].name}: exists already; --resume keeps finished masks, or choose another --out"
        )
    with progress(len(cases), "predicting", quiet=quiet) as bar:
        for case in cases:
            if not targets[case.case_id].exists():
                _predict_case(predictor, case, targets[case.case_id])
            bar.update()
    return list(targets.values())


def _predict_case(predictor: Predictor, case: Case, target: Path) -> None:
    loaded = load_case(case, num_channels=predictor.plan.num_channels, num_classes=len(predictor.classes))
    predictor.plan.require_kind(loaded.image, case.images[0].name, is_volume=case.is_volume)
    labels = predictor.predict(loaded)
    if loaded.volume is None:
        to_pixel = {label: pixel for pixel, label in predictor.mask_values.items()}
        lookup = np.array([to_pixel.get(i, i) for i in range(len(predictor.classes))], labels.dtype)
        write_png(target, lookup[labels[0]])
        return
    write_volume(target, slices_last(labels), like=loaded.volume, dtype=labels.dtype)
    try:
        require_same_grid(loaded.volume, read_labels(target))
    except DataError:
        target.unlink()
        raise
