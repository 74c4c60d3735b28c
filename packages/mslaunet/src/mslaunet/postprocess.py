"""Clean-up of label maps: which steps help is chosen on validation cases and recorded with the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def choose_postprocessing(
    pairs: Sequence[tuple[np.ndarray, np.ndarray, Sequence[float]]], classes: Sequence[int], gain: float = 1e-4
) -> Choice:
    """Try every combination per class on validation cases and keep the best where it beats doing nothing.

    Minimum sizes tried are fractions of the smallest reference mask of the class (our choice). The masks compared
    are on the network's grid. A step is kept only if it raises the mean Dice by more than `gain`, and only for
    classes with at least two cases: with one, the choice would be an accident.

    Args:
        pairs: (predicted labels, reference labels, spacing) of whole cases, (D, H, W) each.
        classes: label ids without background.
        gain: smallest rise of the mean Dice.
    """
    steps: dict[int, ClassStep] = {}
    before: dict[int, float] = {}
    after: dict[int, float] = {}
    for label in classes:
        known = [(p == label, r == label, float(np.prod(s))) for p, r, s in pairs if (r == label).any()]
        if len(known) < 2:
            continue
        smallest = min(float(np.count_nonzero(r)) * v for _, r, v in known)
        candidates = [
            ClassStep(min_size=round(fraction * smallest, 3), largest_component=largest)
            for largest, fraction in product((False, True), _SIZE_FRACTIONS)
        ]
        scores = [float(np.mean([_dice(cleaned(p, step, v), r) for p, r, v in known])) for step in candidates]
        best = int(np.argmax(scores))
        before[label], after[label] = scores[0], scores[0]
        if scores[best] > scores[0] + gain:
            steps[label], after[label] = candidates[best], scores[best]
    return Choice(PostProcessing(steps=steps), len(pairs), before, after)


def _dice(pred: np.ndarray, ref: np.ndarray) -> float:
    return 2 * int(np.count_nonzero(pred & ref)) / (int(np.count_nonzero(pred)) + int(np.count_nonzero(ref)))
