"""The `tryon-bench` command. Thin: flags in, one call, results out; nothing heavy is imported before a command runs."""

from __future__ import annotations

from . import data, diffusing, evaluation, explaining, methods, preparing  # each registers its commands
from .app import app

__all__ = ["app", "data", "diffusing", "evaluation", "explaining", "methods", "preparing"]
