"""How a prediction is computed; nothing here changes what was learnt."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .._shared.config import FrozenModel

Tta = Literal["none", "flips", "scales", "all"]
MapName = Literal["entropy", "confidence", "mutual_information", "variance"]


class PredictOptions(FrozenModel):
    """Windows, test-time augmentation and precision."""

    window_px: int | None = Field(
        None, ge=32, description="side of the sliding window on the network's grid; none: whole slices"
    )
    overlap: float = Field(0.5, ge=0, lt=1, description="part of a window that the next one covers again")
    tta: Tta = Field("none", description="average over mirrored or rescaled copies of each slice")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="autocast type of the network")
    max_memory_gb: float | None = Field(
        None, gt=0, description="most memory that the process may take, GB; batches shrink to fit"
    )
