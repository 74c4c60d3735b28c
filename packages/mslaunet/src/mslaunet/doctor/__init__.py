"""Findings about a data set before hours are spent on it."""

from .checks import Finding
from .diagnosis import Diagnosis, diagnosis_text, examine

__all__ = ["Diagnosis", "Finding", "diagnosis_text", "examine"]
