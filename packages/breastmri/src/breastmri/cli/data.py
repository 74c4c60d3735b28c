"""Commands on data: make, check, prepare and predict. Thin: flags in, one call, results out."""

from __future__ import annotations
