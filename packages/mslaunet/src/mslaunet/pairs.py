"""Predicted and reference masks of the same case, from two folders or from a data set of any layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ._shared.errors import DataError
from ._shared.io.volumes import read_labels, require_same_grid
from ._shared.logs import get_logger
from .data.dataset import Case, Dataset, image_files, is_volume, split_suffix
from .data.loading import load_case_of, slices_last
from .masks import MaskReader
from .predictions import map_path, read_map

log = get_logger(__name__)

Paths = list[tuple[str, Path, Path]]


@dataclass(frozen=True)
class MaskPair:
    """Predicted and reference label ids on one grid; `spacing_mm` is None for images of unknown scale.

    `confidence` is the probability of the predicted class on the same grid, where there is a map of it.
    """

    case_id: str
    predicted: np.ndarray
    reference: np.ndarray
    spacing_mm: tuple[float, ...] | None
    confidence: np.ndarray | None = None


def pair_paths(references: Path, predictions: Path) -> Paths:
    """Name, reference and prediction of every case.

    Raises:
        DataError: a prediction is missing, or a folder holds no image.
    """
    predicted = {split_suffix(p)[0]: p for p in image_files(predictions)}
    expected = {split_suffix(p)[0]: p for p in image_files(references)}
    require_all(sorted(expected), predicted, predictions)
    return [(name, path, predicted[name]) for name, path in sorted(expected.items())]


def require_all(expected: Sequence[str], predicted: dict[str, Path], folder: Path) -> None:
    """Check that every case has its prediction; warn of predictions that nobody asked for.

    Raises:
        DataError: with the first missing case and their number.
    """
    missing = [name for name in expected if name not in predicted]
    if missing:
        raise DataError(
            f"{folder.name}/{missing[0]}: no prediction of that name; {len(missing)} of {len(expected)} are "
            "missing, and leaving them out would change the mean: predict them first"
        )
    if extra := len(predicted.keys() - set(expected)):
        log.warning(
            "%d predictions have no reference of that name and are not scored; are the folders swapped?", extra
        )


def load_pair(name: str, reference: Path, prediction: Path, reader: MaskReader) -> MaskPair:
    """Both masks of a case, and the confidence of the prediction where there is a map of it.

    Raises:
        DataError: they do not belong together, or a file is damaged.
    """
    if is_volume(reference) != is_volume(prediction):
        raise DataError(f"{prediction.name}: a volume and a 2-D image cannot be compared")
    if not is_volume(reference):
        return _image_pair(name, reader.read(reference), prediction, reader)
    predicted, expected = read_labels(prediction), read_labels(reference)
    require_same_grid(expected, predicted)
    spacing = tuple(float(v) for v in expected.spacing_mm)
    confidence = _confidence(name, prediction, predicted.array.shape)
    return MaskPair(name, predicted.array, expected.array, spacing, confidence)


def dataset_pairs(dataset: Dataset, cases: Sequence[Case], predictions: Path) -> Iterator[MaskPair]:
    """Pairs of the cases of a data set and the masks of a folder, in the cases' order.

    Raises:
        DataError: a prediction is missing, a case has no mask, or they lie on different grids.
    """
    predicted = {split_suffix(p)[0]: p for p in image_files(predictions)}
    require_all([case.case_id for case in cases], predicted, predictions)
    reader = MaskReader("binary" if dataset.mask_values else "labels")
    for case in cases:
        yield _case_pair(case, dataset, predicted[case.case_id], reader)


def _case_pair(case: Case, dataset: Dataset, prediction: Path, reader: MaskReader) -> MaskPair:
    loaded = load_case_of(dataset, case)
    if loaded.mask is None:
        raise DataError(f"{case.images[0].name}: has no mask to compare with")
    if (loaded.volume is None) == is_volume(prediction):
        raise DataError(f"{prediction.name}: a volume and a 2-D image cannot be compared")
    if loaded.volume is None:
        return _image_pair(case.case_id, loaded.mask[0], prediction, reader)
    labels = read_labels(prediction)
    require_same_grid(loaded.volume, labels)
    spacing = tuple(float(v) for v in labels.spacing_mm) if dataset.spacing_known else None
    confidence = _confidence(case.case_id, prediction, labels.array.shape)
    return MaskPair(case.case_id, labels.array, slices_last(loaded.mask), spacing, confidence)


def _image_pair(name: str, expected: np.ndarray, prediction: Path, reader: MaskReader) -> MaskPair:
    predicted = reader.read(prediction)
    if predicted.shape != expected.shape:
        raise DataError(f"{prediction.name}: size {predicted.shape}, the reference has {expected.shape}")
    return MaskPair(name, predicted, expected, None, _confidence(name, prediction, predicted.shape))


def _confidence(name: str, prediction: Path, shape: Sequence[int]) -> np.ndarray | None:
    path = map_path(prediction.parent, name, "confidence", ".nii.gz" if is_volume(prediction) else ".png")
    if not path.is_file():
        return None
    confidence = read_map(path)
    if confidence.shape != tuple(shape):
        raise DataError(
            f"{name}: the confidence map is {confidence.shape}, the mask {tuple(shape)}; predict again"
        )
    return confidence
