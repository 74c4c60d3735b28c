"""Every flag of every command but `--help`: a new one, or one less, is a decision and not an accident."""

from __future__ import annotations

FLAGS: dict[str, set[str]] = {}
