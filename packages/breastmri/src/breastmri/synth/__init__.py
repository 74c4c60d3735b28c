"""Small valid data sets in every supported layout, from one phantom, with what is true about it in `truth.json`."""

from __future__ import annotations

from .write import FORMATS, write_synthetic

__all__ = ["FORMATS", "write_synthetic"]
