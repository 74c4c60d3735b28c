"""Images in, masks on their own grid out: one slab of slices after the other."""

from __future__ import annotations

from .cases import find_cases
from .files import predict_files
from .loading import load_predictor, model_directory, read_model
from .options import PredictOptions
from .predictor import Predictor, Segmentation

__all__ = [
    "PredictOptions",
    "Predictor",
    "Segmentation",
    "find_cases",
    "load_predictor",
    "model_directory",
    "predict_files",
    "read_model",
]
