"""Pictures of the worst cases, for the report: image, reference and prediction of the slice that differs most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ._shared.errors import DataError
from ._shared.io.images import read_image
from ._shared.io.volumes import read_labels, read_volume, require_same_grid
from .data.dataset import image_files, is_volume, split_suffix
from .evaluate import Evaluation, pair_paths
from .masks import MaskKind, MaskReader
from .pictures import Panel, case_panels, comparison_png, disagreement_slice


def worst_cases(evaluation: Evaluation) -> list[tuple[str, float, int]]:
    """Case, mean Dice over its defined classes and their number; lowest first."""
    cases: dict[str, list[float]] = {}
    for row in evaluation.rows:
        if row.values["dice"] == row.values["dice"]:  # NaN: absent and not predicted
            cases.setdefault(row.case_id, []).append(row.values["dice"])
    means = [(name, sum(values) / len(values), len(values)) for name, values in cases.items()]
    return sorted(means, key=lambda case: (case[1], case[0]))


def worst_cases_png(
    evaluation: Evaluation,
    references: Path,
    predictions: Path,
    images: Path,
    classes: Mapping[int, str],
    *,
    masks: MaskKind = "auto",
    limit: int = 4,
) -> bytes:
    """Draw the worst cases, one per row; returns a PNG file.

    Args:
        evaluation: decides which cases are the worst.
        references: folder of reference masks.
        predictions: folder of predicted masks.
        images: folder of images, `<case>` or `<case>_0000` (the first channel is shown).
        classes: label id to name.
        masks: see `masks.MaskReader`.
        limit: number of cases.

    Raises:
        DataError: an image of these cases is missing, damaged or on another grid.
    """
    files = {split_suffix(p)[0]: p for p in image_files(images)}
    paths = {name: (reference, prediction) for name, reference, prediction in pair_paths(references, predictions)}
    reader = MaskReader(masks)
    rows = []
    for case_id, _, _ in worst_cases(evaluation)[:limit]:
        image = files.get(case_id) or files.get(f"{case_id}_0000")
        if image is None:
            raise DataError(f"{images.name}: no image named {case_id} or {case_id}_0000; check --images")
        rows.append(_row(case_id, image, *paths[case_id], reader))
    return comparison_png(rows, classes)


def _row(case_id: str, image: Path, reference: Path, prediction: Path, reader: MaskReader) -> Sequence[Panel]:
    if not is_volume(reference):
        pixels = read_image(image, alpha="drop")
        return case_panels(
            case_id, pixels.array / pixels.max_value, reader.read(reference), reader.read(prediction)
        )
    scan, expected, predicted = read_volume(image), read_labels(reference), read_labels(prediction)
    require_same_grid(scan, expected)
    z = disagreement_slice(predicted.array, expected.array)
    x_mm, y_mm, _ = scan.spacing_mm
    low, high = np.percentile(scan.array[..., z], (1, 99))
    plane = ((scan.array[..., z] - low) / max(float(high - low), 1e-6)).clip(0, 1)
    # (X, Y) in RAS+ -> rows from anterior, columns from the patient's right, as radiologists look at it
    turned = [a.T[::-1, ::-1] for a in (plane, expected.array[..., z], predicted.array[..., z])]
    return case_panels(f"{case_id}, slice {z}", turned[0], turned[1], turned[2], y_mm / x_mm)
