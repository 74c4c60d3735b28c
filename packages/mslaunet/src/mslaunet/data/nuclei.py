"""The nuclei image of the offline assets (stardist, DSB 2018): one picture, cut into tiles, masks drawn by people."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .._shared.io.images import read_image
from .dataset import Case, Dataset

TILE_PX = 128
_PLACES = ("", "stardist/data/images")


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout."""
    return any((root / place / "mask2d.tif").is_file() for place in _PLACES)


def open_nuclei(root: Path) -> Dataset:
    """Open `img2d.tif` and `mask2d.tif` as tiles of 128 px; every instance is foreground.

    Tiles of one quadrant are one group, so that neighbours stay together: there is only one image, and a score on it
    shows that the software works, not how a model generalises.

    Raises:
        DataError: the files are missing or damaged, or smaller than two tiles.
    """
    folder = next((root / place for place in _PLACES if (root / place / "mask2d.tif").is_file()), root)
    image, mask = folder / "img2d.tif", folder / "mask2d.tif"
    if not image.is_file() or not mask.is_file():
        raise DataError(
            f"{root.name}: expected img2d.tif and mask2d.tif; get them with: mslaunet assets fetch stardist"
        )
    height, width = read_image(image).array.shape[:2]
    rows, columns = height // TILE_PX, width // TILE_PX
    if min(rows, columns) < 2:
        raise DataError(f"img2d.tif: {width} x {height} pixels; expected at least {2 * TILE_PX} each way")
    cases = tuple(
        Case(
            f"tile_{r}{c}",
            (image,),
            mask,
            patient_id=f"quadrant {2 * r // rows}{2 * c // columns}",
            label_map="instances",
            box=(r * TILE_PX, c * TILE_PX, TILE_PX, TILE_PX),
        )
        for r in range(rows)
        for c in range(columns)
    )
    return Dataset(
        root,
        "nuclei",
        {0: "background", 1: "nucleus"},
        ("grey",),
        cases,
        mask_values={0: 0, 255: 1},
        labels="human",
        warnings=("tiles of one single image: scores show fitting, not generalisation",),
    )
