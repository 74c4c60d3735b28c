"""Object-CXR: foreign objects in chest films."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .pairs import ABSENT, PRESENT, Pair, PairDataset, Region, Split
from .pixels import read_pixels
from .sources import box_in_film, find_file, image_path, read_rows

_LABEL = "Foreign Object"
_RECTANGLE, _ELLIPSE, _POLYGON = "0", "1", "2"


def load_object_cxr(root: Path) -> PairDataset:
    """Films of `train.csv` (training side) and `dev.csv` (test side) with a box around every object.

    Rectangles and ellipses are boxes; a polygon's box is its true bounds. The square around the polygon's pole that
    the official code uses is not offered: it is smaller or larger than the object. The number of boxes is not limited.

    Raises:
        DataError: a table, a column or a folder is missing, or an annotation is damaged.
    """
    pairs: list[Pair] = []
    sides: tuple[tuple[str, Split], ...] = (("train", "train"), ("dev", "test"))
    for name, side in sides:
        path = find_file(root, f"{name}.csv")
        rows = read_rows(path, ["annotation"])
        column = next((c for c in ("image_name", "image_path") if rows and c in rows[0]), None)
        if column is None:
            raise DataError(f"{path.name}: no column image_name; it needs image_name and annotation")
        if not (root / name).is_dir():
            raise DataError(f"{root.name}: no folder {name}/; unpack {name}.zip there")
        pairs += [_film(root / name, row[column], row["annotation"], side, path.name) for row in rows]
    return PairDataset("object-cxr", tuple(pairs), (_LABEL,))


def parse_annotation(text: str, name: str) -> list[tuple[float, float, float, float]]:
    """Corners in pixels of every object of `type x1 y1 x2 y2 ...;type ...`.

    Raises:
        DataError: an unknown type, an odd number of coordinates or something that is not a number.

    Example:
        >>> parse_annotation("0 1 2 30 40;2 5 5 9 1 7 8", "dev.csv")
        [(1.0, 2.0, 30.0, 40.0), (5.0, 1.0, 9.0, 8.0)]
    """
    boxes = []
    for part in filter(str.strip, text.split(";")):
        kind, *fields = part.split()
        try:
            numbers = [float(field) for field in fields]
        except ValueError as err:
            raise DataError(
                f"{name}: column annotation: expected numbers after the type, got {part[:40]!r}"
            ) from err
        x, y = numbers[::2], numbers[1::2]
        corners_only = kind in (_RECTANGLE, _ELLIPSE) and len(numbers) == 4
        if not corners_only and not (kind == _POLYGON and len(x) == len(y) >= 3):
            raise DataError(
                f"{name}: column annotation: expected `0` or `1` with two corners or `2` with three or more points, "
                f"got {part[:40]!r}"
            )
        boxes.append((min(x), min(y), max(x), max(y)))
    return boxes


def _film(folder: Path, name: str, annotation: str, side: Split, table: str) -> Pair:
    image = image_path(folder, name)
    corners = parse_annotation(annotation, table)
    regions: tuple[Region, ...] = ()
    if corners:
        height, width = read_pixels(image).shape
        regions = tuple(Region(_LABEL, box_in_film(c, width, height, table)) for c in corners)
    sample = f"{folder.name}/{name}"
    label = {_LABEL: PRESENT if regions else ABSENT}
    return Pair(
        image, sample_id=sample, study_id=sample, patient_id=sample, labels=label, regions=regions, split=side
    )
