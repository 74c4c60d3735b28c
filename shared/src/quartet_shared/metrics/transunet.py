"""The convention behind the TransUNet family's tables, to compare with published numbers and for nothing else.

It differs from `segmentation` in four ways: a false positive scores Dice 1 and HD95 0, as if perfect; a missed
organ scores Dice 0 but the best HD95, 0; an organ that is absent and not predicted scores Dice 0 and HD95 0;
distances are medpy's pooled percentile in voxels, although tables call them mm. Rows carry the policy "transunet"
and the metric `hd95_voxel`, so that they cannot be taken for the others. Averages (`segmentation.summarise`) are
over cases, then over classes.
"""

from __future__ import annotations

from collections.abc import Mapping

from .overlap import dice
from .segmentation import ClassMasks, ClassScores, Labels, class_masks
from .surface import hd95, surface_distances


def evaluate_case_transunet(
    pred_labels: Labels,
    ref_labels: Labels,
    *,
    case_id: str,
    classes: Mapping[int, str],
    patient_id: str | None = None,
) -> list[ClassScores]:
    """Score every class of one case as the TransUNet evaluation does; nothing is ever undefined.

    Args:
        pred_labels: predicted label map, integers, any shape.
        ref_labels: reference label map, integers, the same shape.
        case_id: name of the case in the rows.
        classes: label -> name of the classes to score.
        patient_id: pseudonym that groups the cases of one patient; the case id if None.

    Returns:
        One row per class with `dice` and `hd95_voxel`, and the true status of the masks.

    Raises:
        DataError: see `segmentation.class_masks`.
        ConfigError: see `segmentation.class_masks`.

    Example:
        >>> import numpy as np
        >>> row = evaluate_case_transunet(
        ...     np.array([[1, 0]]), np.array([[0, 0]]), case_id="a", classes={1: "spleen"}
        ... )[0]
        >>> row.status, dict(row.values)
        ('false_positive', {'dice': 1.0, 'hd95_voxel': 0.0})
    """
    return [
        ClassScores(
            case_id, patient_id or case_id, masks.label, masks.name, masks.status, "transunet", _score(masks)
        )
        for masks in class_masks(pred_labels, ref_labels, classes)
    ]


def _score(masks: ClassMasks) -> dict[str, float]:
    if masks.status != "defined":
        return {"dice": 1.0 if masks.status == "false_positive" else 0.0, "hd95_voxel": 0.0}
    distances = surface_distances(masks.pred, masks.ref, (1.0,) * masks.ref.ndim)
    return {"dice": dice(masks.pred, masks.ref), "hd95_voxel": hd95(distances, definition="pooled")}
