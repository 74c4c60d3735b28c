"""MS-CXR: phrases of MIMIC-CXR reports with the boxes they describe."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .pairs import PRESENT, Pair, PairDataset, Region, Split
from .sources import box_in_film, find_file, image_path, image_root, number, read_rows

_SIDES: dict[str, Split] = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "": "",
}
_COLUMNS = ("dicom_id", "category_name", "label_text", "path", "x", "y", "w", "h", "image_width", "image_height")


def load_ms_cxr(root: Path, *, images: Path | None = None) -> PairDataset:
    """One sample per film, with every phrase and its boxes; the report is the film's phrases.

    Args:
        root: folder of `MS_CXR_Local_Alignment_*.csv`.
        images: root of the MIMIC-CXR-JPG release, below which the table's paths lie; default: `root`.

    Raises:
        DataError: the table or a column is missing, or a box is damaged.
    """
    table = find_file(root, "MS_CXR_Local_Alignment*.csv")
    rows = read_rows(table, _COLUMNS)
    base, drop = image_root(images or root, rows[0]["path"]) if rows else (root, 0)
    films: dict[str, list[tuple[dict[str, str], Region]]] = {}
    for count, row in enumerate(rows, start=2):
        where = f"{table.name}: line {count}"
        values = [number(row, c, table.name) for c in ("x", "y", "w", "h", "image_width", "image_height")]
        if None in values:
            raise DataError(f"{where}: x, y, w, h, image_width and image_height must be there")
        x, y, w, h, width, height = (float(v or 0) for v in values)
        phrase = " ".join(row["label_text"].split())
        region = Region(row["category_name"], box_in_film((x, y, x + w, y + h), width, height, where), phrase)
        films.setdefault(row["dicom_id"], []).append((row, region))
    pairs = []
    for dicom, found in films.items():
        first = found[0][0]
        phrases = list(dict.fromkeys(region.sentence for _, region in found))
        side = first.get("split", "").strip().lower()
        if side not in _SIDES:
            raise DataError(f"{table.name}: column split holds {side[:20]!r}; expected train, val or test")
        report = " ".join(phrase if phrase.endswith(".") else f"{phrase}." for phrase in phrases)
        study, patient = _ids(first["path"], dicom)
        pairs.append(
            Pair(
                image=image_path(base, first["path"], drop),
                report=report,
                sections={"findings": report},
                sample_id=dicom,
                study_id=study,
                patient_id=patient,
                labels={region.label: PRESENT for _, region in found},
                regions=tuple(region for _, region in found),
                split=_SIDES[side],
            )
        )
    names = dict.fromkeys(region.label for found in films.values() for _, region in found)
    return PairDataset("ms-cxr", tuple(pairs), tuple(names))


def _ids(path: str, dicom: str) -> tuple[str, str]:
    """Study and patient out of `files/p10/p<subject>/s<study>/<dicom>.jpg`; the film's own id where it is not so."""
    parts = path.split("/")
    return (parts[-2], parts[-3]) if len(parts) >= 4 else (dicom, dicom)
