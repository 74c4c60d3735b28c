"""`python -m tryon_bench`."""

from __future__ import annotations

from .cli import app

app()
