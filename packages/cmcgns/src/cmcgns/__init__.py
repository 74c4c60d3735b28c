"""CM-CGNS: chest X-ray and report pretraining, zero-shot classification, retrieval and grounding. Not built yet."""

from __future__ import annotations
