"""VITON as CP-VTON lays it out, and the survey's processed VITON: photo `000001_0`, garment `000001_1`."""

from __future__ import annotations

from ..roles import Role
from .split_folders import Layout
from .vitonhd import ROLES


def _worn(person: str) -> str:
    """Stem of the garment in a photo: the number before the last underscore, view 1."""
    number, _, view = person.rpartition("_")
    return f"{number}_1" if number and view.isdigit() else person


_VITON = {
    "parse": Role(("image-parse", "image_parse", "image-parse-new")),
    "garment_mask": Role(("cloth-mask", "cloth_mask"), suffixes=(".jpg", ".png", ".jpeg")),
    "agnostic_mask": Role(("agnostic-mask", "agnostic_mask"), ("{}_mask", "{}")),
    "agnostic": Role(("agnostic",)),
    "densepose": Role(("image-densepose", "densepose")),
    "keypoints": Role(("pose",), ("{}_keypoints",), (".json",)),
}

VITON = Layout("viton", ("image", "images"), ("cloth", "clothes", "color"), _VITON, "lip", _worn)

# The survey made it by VITON-HD's recipe and never published its folder names: these are VITON-HD's and the words of
# its README; --folder says what is otherwise.
_SURVEY = {
    **ROLES,
    "parse": Role((*ROLES["parse"].folders, "segmentation", "segmentations")),
    "agnostic": Role((*ROLES["agnostic"].folders, "agnostic-person", "agnostic_person")),
    "keypoints": Role((*ROLES["keypoints"].folders, "keypoints"), ("{}_keypoints", "{}"), (".json",)),
}

SURVEY_VITON = Layout("survey-viton", ("image", "images"), ("cloth", "clothes"), _SURVEY, "vitonhd", _worn)
