"""ROCO (radiology objects in context): version 1 with folders per side, version 2 with tables of captions."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .pairs import Pair, PairDataset, Split
from .sources import find_optional, image_path, read_rows, read_text

_SIDES: tuple[tuple[str, Split], ...] = (
    ("train", "train"),
    ("validation", "validation"),
    ("val", "validation"),
    ("valid", "validation"),
    ("test", "test"),
)


def load_roco(root: Path) -> PairDataset:
    """Images of any radiology with their caption, on the release's sides. An image is its own patient.

    Version 1: `<side>/radiology/captions.txt` (id, tab, caption) and `<side>/radiology/images/<id>.jpg`; the folder
    `non-radiology` is not read. Version 2: `<side>_captions.csv` (ID, Caption) and `<side>/<id>.jpg` or
    `<side>_images/<id>.jpg`.

    Raises:
        DataError: neither layout is there, or a table is damaged.
    """
    if not root.is_dir():
        raise DataError(f"{root.name}: expected a data set folder, found none; check the path")
    pairs: list[Pair] = []
    excluded: dict[str, str] = {}
    for name, side in _SIDES:
        captions = root / name / "radiology" / "captions.txt"
        table = find_optional(root, f"{name}_captions.csv")
        if captions.is_file():
            pairs += _films(captions.parent / "images", _tabbed(captions), side, excluded)
        elif table is not None:
            rows = [(row["ID"], row["Caption"]) for row in read_rows(table, ["ID", "Caption"])]
            folder = next(
                (root / n for n in (f"{name}_images", f"{name}/images") if (root / n).is_dir()), root / name
            )
            pairs += _films(folder, rows, side, excluded)
    if not pairs:
        raise DataError(
            f"{root.name}: no image with caption; expected train/radiology/captions.txt (version 1) or "
            "train_captions.csv (version 2), and the images"
        )
    return PairDataset("roco", tuple(pairs), (), excluded)


def _films(folder: Path, rows: list[tuple[str, str]], side: Split, excluded: dict[str, str]) -> list[Pair]:
    pairs = []
    for name, caption in rows:
        file = image_path(folder, f"{name}.jpg")
        caption = " ".join(caption.split())
        if not file.is_file() or not caption:
            excluded[name] = "no caption" if file.is_file() else "no image file"
            continue
        sections = {"text": caption}
        pairs.append(Pair(file, caption, sections, sample_id=name, study_id=name, patient_id=name, split=side))
    return pairs


def _tabbed(path: Path) -> list[tuple[str, str]]:
    rows = []
    for count, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            name, tab, caption = line.partition("\t")
            if not tab:
                raise DataError(f"{path.name}: line {count}: expected an id, a tab and the caption")
            rows.append((name.strip(), caption))
    return rows
