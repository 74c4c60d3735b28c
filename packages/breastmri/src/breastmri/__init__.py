"""Breast DCE-MRI study in, calibrated tumour probability and aligned localisation map out. Not built yet."""

from __future__ import annotations
