"""The `cmcgns` command. Thin: flags in, one call, results out; nothing heavy is imported before a command runs."""

from __future__ import annotations

from . import data, downstream, method, use  # each module registers its commands
from .app import app

__all__ = ["app", "data", "downstream", "method", "use"]
