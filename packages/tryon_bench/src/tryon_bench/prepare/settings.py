"""What decides the content of a prepared data set."""

from __future__ import annotations

from pydantic import Field

from .._shared.config import FrozenModel
from ..agnostic.recipes import Recipe
from ..data.labels import Scheme
from ..persons.models import PoseModel
from .letterbox import Padding

VERSION = 1  # of the files' content; another one is not resumed


class Settings(FrozenModel):
    """Settings of one preparation; they stand in `prepare_<split>.json`.

    Attributes:
        recipe: of the agnostic person.
        height_px: of all results.
        width_px: of all results.
        parse_scheme: of the user's parses; the results are in VITON-HD's ids.
        estimate: let MediaPipe give joints and person masks where the user has none.
        pose_model: its size.
        padding: around photos of another shape: the border's colours continued, white or gray.
        split: test or train.
        version: of the content's form.
    """

    recipe: Recipe = "hr-viton-v3.2"
    height_px: int = Field(1024, ge=64, le=8192)
    width_px: int = Field(768, ge=48, le=8192)
    parse_scheme: Scheme = "vitonhd"
    estimate: bool = False
    pose_model: PoseModel = "full"
    padding: Padding = "edge"
    split: str = Field("test", pattern=r"^[A-Za-z0-9_-]+$")
    version: int = VERSION

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), px."""
        return self.height_px, self.width_px
