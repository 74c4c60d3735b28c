"""VinDr-CXR: boxes by one to three readers per film."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .pairs import ABSENT, PRESENT, Pair, PairDataset, Region, Split
from .pixels import read_pixels
from .sources import box_in_film, find_file, find_optional, image_path, number, read_rows

_NO_FINDING = "No finding"
_COLUMNS = ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max")
_SIDES: tuple[tuple[str, Split], ...] = (("train", "train"), ("test", "test"))


def load_vindr(root: Path, *, readers: int = 1) -> PairDataset:
    """Films of `train.csv` or `annotations_train.csv` and, where there, of the test table.

    A finding is present where at least `readers` readers marked it; the boxes of such findings are all kept. A film is
    its own patient: the release names none.

    Args:
        root: the data set's folder, films in `train/` and `test/` as .dicom, .dcm, .png or .jpg.
        readers: readers that must agree; the test side's boxes are a consensus and need one.

    Raises:
        DataError: a table, a column or a film is missing.
    """
    pairs: list[Pair] = []
    tables = []
    for name, side in _SIDES:
        patterns = (f"annotations_{name}.csv", f"annotations/annotations_{name}.csv", f"{name}.csv")
        path = find_file(root, *patterns) if name == "train" else find_optional(root, *patterns)
        if path is not None:
            tables.append((root / name, path, side, readers if side == "train" else 1))
    rows = {path: read_rows(path, _COLUMNS) for _, path, _, _ in tables}
    names = sorted({r["class_name"] for found in rows.values() for r in found} - {_NO_FINDING})
    for folder, path, side, agreement in tables:
        films: dict[str, list[dict[str, str]]] = {}
        for row in rows[path]:
            films.setdefault(row["image_id"], []).append(row)
        pairs += [_film(folder, k, v, names, agreement, side, path.name) for k, v in films.items()]
    return PairDataset("vindr", tuple(pairs), tuple(names))


def _film(
    folder: Path, key: str, rows: list[dict[str, str]], names: list[str], readers: int, side: Split, table: str
) -> Pair:
    by_class: dict[str, set[str]] = {}
    for row in rows:
        by_class.setdefault(row["class_name"], set()).add(row.get("rad_id", ""))
    present = {name for name, who in by_class.items() if len(who) >= readers and name != _NO_FINDING}
    files = (image_path(folder, f"{key}{suffix}") for suffix in (".dicom", ".dcm", ".png", ".jpg"))
    image = next((file for file in files if file.is_file()), None)
    if image is None:
        raise DataError(f"{table}: a film is not in {folder.name}/; unpack the films there")
    regions: list[Region] = []
    if present:
        height, width = read_pixels(image).shape
        for row in (r for r in rows if r["class_name"] in present):
            corners = [number(row, c, table) for c in ("x_min", "y_min", "x_max", "y_max")]
            if None in corners:
                raise DataError(f"{table}: a box of {row['class_name']} is incomplete")
            x0, y0, x1, y1 = (float(v or 0) for v in corners)
            regions.append(Region(row["class_name"], box_in_film((x0, y0, x1, y1), width, height, table)))
    labels = {name: PRESENT if name in present else ABSENT for name in names}
    return Pair(image, "", {}, key, key, key, labels, tuple(regions), split=side)
