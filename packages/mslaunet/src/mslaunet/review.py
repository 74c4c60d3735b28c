"""Pictures of the worst cases, for the report: image, reference and prediction of the slice that differs most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ._shared.errors import DataError
from ._shared.io.images import read_image
from ._shared.io.volumes import read_labels, read_volume, require_same_grid
from .data.dataset import Dataset, image_files, split_suffix
from .data.loading import load_case_of, slices_last
from .data.parts import Part, cases_of
from .evaluate import Evaluation
from .masks import MaskKind, MaskReader
from .pairs import dataset_pairs, load_pair, pair_paths
from .pictures import Panel, case_panels, comparison_png, disagreement_slice


def worst_cases(evaluation: Evaluation) -> list[tuple[str, float, int]]:
    """Case, mean Dice over its defined classes and their number; lowest first."""
    cases: dict[str, list[float]] = {}
    for row in evaluation.rows:
        if row.values["dice"] == row.values["dice"]:  # NaN: absent and not predicted
            cases.setdefault(row.case_id, []).append(row.values["dice"])
    means = [(name, sum(values) / len(values), len(values)) for name, values in cases.items()]
    return sorted(means, key=lambda case: (case[1], case[0]))


@dataclass(frozen=True)
class Scene:
    """Image, reference and prediction of one case: (X, Y, Z) canonical, or (H, W) and (H, W, 3) for images."""

    image: np.ndarray
    reference: np.ndarray
    predicted: np.ndarray
    aspect: float = 1.0


def worst_cases_png(evaluation: Evaluation, scenes: Callable[[str], Scene], limit: int = 4) -> bytes:
    """Draw the worst cases, one per row; returns a PNG file.

    Args:
        evaluation: decides which cases are the worst, and names the classes.
        scenes: case id to what is drawn of it.
        limit: number of cases.

    Raises:
        DataError: an image of these cases is missing, damaged or on another grid.
    """
    classes = {row.label: row.name for row in evaluation.rows}
    return comparison_png([_row(name, scenes(name)) for name, _, _ in worst_cases(evaluation)[:limit]], classes)


def folder_scenes(references: Path, predictions: Path, images: Path, masks: MaskKind) -> Callable[[str], Scene]:
    """Scenes of three folders; images are `<case>` or `<case>_0000` (the first channel is shown)."""
    files = {split_suffix(p)[0]: p for p in image_files(images)}
    paths = {name: (reference, prediction) for name, reference, prediction in pair_paths(references, predictions)}
    reader = MaskReader(masks)

    def scene(case_id: str) -> Scene:
        image = files.get(case_id) or files.get(f"{case_id}_0000")
        if image is None:
            raise DataError(f"{images.name}: no image named {case_id} or {case_id}_0000; check --images")
        pair = load_pair(case_id, *paths[case_id], reader)
        if pair.reference.ndim == 2:
            pixels = read_image(image, alpha="drop")
            return Scene(pixels.array / pixels.max_value, pair.reference, pair.predicted)
        scan, expected = read_volume(image), read_labels(paths[case_id][0])
        require_same_grid(scan, expected)
        return Scene(scan.array, pair.reference, pair.predicted, scan.spacing_mm[1] / scan.spacing_mm[0])

    return scene


def dataset_scenes(dataset: Dataset, predictions: Path, part: Part) -> Callable[[str], Scene]:
    """Scenes of a data set's cases and a folder of predictions."""
    cases = {case.case_id: case for case in cases_of(dataset, part)}

    def scene(case_id: str) -> Scene:
        case = cases[case_id]
        loaded = load_case_of(dataset, case)
        pair = next(dataset_pairs(dataset, [case], predictions))
        if loaded.volume is None:
            channels = loaded.image[:, 0]
            image = channels.transpose(1, 2, 0) if len(channels) == 3 else channels[0]
            return Scene(image, pair.reference, pair.predicted)
        _, row_mm, column_mm = loaded.spacing_mm
        return Scene(slices_last(loaded.image[0]), pair.reference, pair.predicted, row_mm / column_mm)

    return scene


def _row(case_id: str, scene: Scene) -> list[Panel]:
    if scene.reference.ndim == 2:
        return case_panels(case_id, scene.image, scene.reference, scene.predicted)
    z = disagreement_slice(scene.predicted, scene.reference)
    low, high = np.percentile(scene.image[..., z], (1, 99))
    plane = ((scene.image[..., z] - low) / max(float(high - low), 1e-6)).clip(0, 1)
    # (X, Y) in RAS+ -> rows from anterior, columns from the patient's right, as radiologists look at it
    turned = [a.T[::-1, ::-1] for a in (plane, scene.reference[..., z], scene.predicted[..., z])]
    return case_panels(f"{case_id}, slice {z}", turned[0], turned[1], turned[2], scene.aspect)
