"""`python -m mslaunet`, the form that torchrun starts."""

from __future__ import annotations

from .cli import app

app()
