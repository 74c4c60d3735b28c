"""VITON-HD: garment and photo share one stem; parses in the ids of LIP, but for id 10."""

from __future__ import annotations

from ..roles import Role
from .split_folders import Layout

ROLES = {
    # never `image-parse-agnostic*`: there the garment has been removed
    "parse": Role(("image-parse-v3", "image-parse", "image_parse")),
    "garment_mask": Role(("cloth-mask", "cloth_mask", "clothes-mask"), suffixes=(".jpg", ".png", ".jpeg")),
    "agnostic_mask": Role(("agnostic-mask", "agnostic_mask"), ("{}_mask", "{}")),
    "agnostic": Role(("agnostic-v3.2", "agnostic-v3", "agnostic"), suffixes=(".jpg", ".png", ".jpeg")),
    "densepose": Role(("image-densepose", "densepose"), suffixes=(".jpg", ".png", ".jpeg")),
    "keypoints": Role(("openpose_json", "openpose-json"), ("{}_keypoints",), (".json",)),
}

VITONHD = Layout("vitonhd", ("image", "images"), ("cloth", "clothes"), ROLES, "vitonhd", lambda person: person)
