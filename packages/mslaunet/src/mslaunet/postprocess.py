"""Clean-up of label maps: which steps help is chosen on validation cases and recorded with the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from pydantic import Field
from scipy import ndimage

from ._shared.config import FrozenModel

RECORD = "postprocessing.json"  # in the run directory


class ClassStep(FrozenModel):
    """What happens to the mask of one class, in this order."""

    min_size: float = Field(0, ge=0, description="smaller components vanish; mm3, or pixels for 2-D images")
    largest_component: bool = Field(False, description="only the largest component stays")


class PostProcessing(FrozenModel):
    """Steps by label id; a class that is not named stays as it is."""

    steps: dict[int, ClassStep] = Field(default_factory=dict)


def postprocess(labels: np.ndarray, config: PostProcessing, spacing_mm: Sequence[float]) -> np.ndarray:
    """Apply the steps to a label map; what is removed becomes background.

    Args:
        labels: (D, H, W) label ids.
        config: the steps.
        spacing_mm: (D, H, W) spacing; ones for 2-D images, whose unit is the pixel.

    Returns:
        A new array, or `labels` itself where nothing is to be done.

    Example:
        >>> labels = np.array([[[1, 1, 0, 1]]], np.uint8)
        >>> postprocess(labels, PostProcessing(steps={1: ClassStep(largest_component=True)}), (1, 1, 1)).tolist()
        [[[1, 1, 0, 0]]]
    """
    if not config.steps:
        return labels
    voxel = float(np.prod(spacing_mm))
    boxes = ndimage.find_objects(labels, max_label=max(config.steps))
    out = labels.copy()
    for label, step in config.steps.items():
        box = boxes[label - 1]
        if box is not None:
            mask = labels[box] == label
            out[box][mask & ~cleaned(mask, step, voxel)] = 0
    return out


def cleaned(mask: np.ndarray, step: ClassStep, voxel: float) -> np.ndarray:
    """The voxels of a mask that a step leaves; components touch by faces, edges or corners."""
    components, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    if count == 0:
        return mask
    sizes = np.bincount(components.ravel(), minlength=count + 1).astype(float) * voxel
    sizes[0] = -1
    keep = sizes >= step.min_size
    if step.largest_component:
        keep &= np.arange(count + 1) == sizes.argmax()
    keep[0] = False
    return keep[components]


@dataclass(frozen=True)
class Choice:
    """A chosen post-processing with the evidence: mean Dice over validation cases before and after, by label."""

    config: PostProcessing
    cases: int
    before: Mapping[int, float]
    after: Mapping[int, float]


# Components below a tenth of the smallest reference mask are unlikely to be the organ.
_SIZE_FRACTIONS = (0.0, 0.1, 0.5)


def smallest_sizes(
    references: Iterable[tuple[np.ndarray, Sequence[float]]], classes: Sequence[int]
) -> dict[int, float]:
    """Size of the smallest reference mask of each class, mm3 or pixels; a class that no mask holds is left out.

    Args:
        references: (labels (D, H, W), spacing) of the cases.
        classes: label ids without background.
    """
    sizes: dict[int, float] = {}
    for labels, spacing in references:
        counts = np.bincount(np.asarray(labels).ravel(), minlength=max(classes) + 1)
        for label in (label for label in classes if counts[label]):
            size = float(counts[label]) * float(np.prod(spacing))
            sizes[label] = min(size, sizes.get(label, size))
    return sizes


def choose_postprocessing(
    pairs: Iterable[tuple[np.ndarray, np.ndarray, Sequence[float]]],
    smallest: Mapping[int, float],
    gain: float = 1e-4,
) -> Choice:
    """Try every combination per class on validation cases and keep the best where it beats doing nothing.

    Minimum sizes tried are fractions of the smallest reference mask of the class (our choice). The masks compared
    are on the network's grid. A step is kept only if it raises the mean Dice by more than `gain`, and only for
    classes with at least two cases: with one, the choice would be an accident.

    Args:
        pairs: (predicted labels, reference labels, spacing) of whole cases, (D, H, W) each; one is in memory at a
            time.
        smallest: size of the smallest reference mask of each class, see `smallest_sizes`.
        gain: smallest rise of the mean Dice.
    """
    candidates = {label: _candidates(size) for label, size in smallest.items()}
    scores: dict[int, list[list[float]]] = {label: [] for label in smallest}
    cases = 0
    for predicted, reference, spacing in pairs:
        cases += 1
        for label, steps in candidates.items():
            mask, truth = predicted == label, reference == label
            if truth.any():
                voxel = float(np.prod(spacing))
                scores[label].append([_dice(cleaned(mask, step, voxel), truth) for step in steps])
    means = {label: np.mean(rows, axis=0) for label, rows in scores.items() if len(rows) >= 2}
    chosen = {
        label: candidates[label][int(values.argmax())]
        for label, values in means.items()
        if values.max() > values[0] + gain
    }
    after = {label: float(values.max() if label in chosen else values[0]) for label, values in means.items()}
    before = {label: float(values[0]) for label, values in means.items()}
    return Choice(PostProcessing(steps=chosen), cases, before, after)


def _candidates(smallest: float) -> list[ClassStep]:
    """Doing nothing first."""
    return [
        ClassStep(min_size=round(fraction * smallest, 3), largest_component=largest)
        for largest, fraction in product((False, True), _SIZE_FRACTIONS)
    ]


def _dice(pred: np.ndarray, ref: np.ndarray) -> float:
    return 2 * int(np.count_nonzero(pred & ref)) / (int(np.count_nonzero(pred)) + int(np.count_nonzero(ref)))
