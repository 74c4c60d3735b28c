"""Commands that train, judge, calibrate and export models. Thin: flags in, one call, results out."""

from __future__ import annotations
