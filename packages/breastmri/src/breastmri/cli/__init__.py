"""The `breastmri` command; nothing heavy is imported before a command runs."""

from __future__ import annotations

from . import data, method
from .application import app

__all__ = ["app", "data", "method"]
