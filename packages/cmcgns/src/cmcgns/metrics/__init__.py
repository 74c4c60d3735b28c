"""Metrics of retrieval, grounding, detection and segmentation: pure functions on arrays."""

from __future__ import annotations

from .detection import Detections, average_precision, box_iou, mean_average_precision
from .grounding import contrast_to_noise, map_iou, pointing_game
from .retrieval import best_ranks, chance_recall, recall_at_k, text_groups
from .segmentation import mean_dice

__all__ = [
    "Detections",
    "average_precision",
    "best_ranks",
    "box_iou",
    "chance_recall",
    "contrast_to_noise",
    "map_iou",
    "mean_average_precision",
    "mean_dice",
    "pointing_game",
    "recall_at_k",
    "text_groups",
]
