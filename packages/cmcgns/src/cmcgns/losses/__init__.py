"""Losses: tensors -> scalars. Every function takes plain tensors and can be used without a model or a trainer."""

from __future__ import annotations

from .baselines import convirt_loss, gloria_scores, prototype_loss, within_pair_contrast
from .contrast import info_nce, score_contrast
from .images import image_contrast
from .patches import patch_loss
from .reconstruction import patch_pixels, reconstruction_loss
from .report import bml, false_negative_groups, report_loss

__all__ = [
    "bml",
    "convirt_loss",
    "false_negative_groups",
    "gloria_scores",
    "image_contrast",
    "info_nce",
    "patch_loss",
    "patch_pixels",
    "prototype_loss",
    "reconstruction_loss",
    "report_loss",
    "score_contrast",
    "within_pair_contrast",
]
