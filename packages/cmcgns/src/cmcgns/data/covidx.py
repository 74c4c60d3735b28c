"""COVIDx: blank-separated lists without header, versions 3 to 9 (three or four columns)."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .pairs import ABSENT, PRESENT, Pair, PairDataset, Split
from .sources import find_file, image_path, read_text

_CLASSES = {
    "normal": "Normal",
    "pneumonia": "Pneumonia",
    "covid-19": "COVID-19",
    "positive": "COVID-19",
    "negative": "COVID-19 absent",
}


def load_covidx(root: Path) -> PairDataset:
    """Films of `train*.txt` (training side) and `test*.txt` (test side), images in `train/` and `test/`.

    Classes normal, pneumonia and COVID-19 exclude each other. The 9B lists know positive and negative only: then
    "COVID-19" is the one label.

    Raises:
        DataError: a list is missing, or a line is neither `patient file class` nor `patient file class source`.
    """
    lists = [(find_file(root, f"{side}*COVIDx*.txt", f"{side}*.txt"), side) for side in ("train", "test")]
    rows = [(side, *row) for path, side in lists for row in _lines(path)]
    binary = all(kind in ("positive", "negative") for *_, kind in rows)
    names = ("COVID-19",) if binary else ("Normal", "Pneumonia", "COVID-19")
    pairs = [
        Pair(
            image=image_path(root / side, name),
            sample_id=f"{side}/{name}",
            study_id=name,
            patient_id=patient,
            labels={label: PRESENT if label == _CLASSES[kind] else ABSENT for label in names},
            split=_side(side),
        )
        for side, patient, name, kind in rows
    ]
    return PairDataset("covidx", tuple(pairs), names)


def _side(name: str) -> Split:
    return "train" if name == "train" else "test"


def _lines(path: Path) -> list[tuple[str, str, str]]:
    rows = []
    for count, line in enumerate(read_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) not in (3, 4) or fields[2].lower() not in _CLASSES:
            raise DataError(
                f"{path.name}: line {count}: expected `patient file class [source]`, the class one of "
                f"{', '.join(sorted(_CLASSES))}"
            )
        rows.append((fields[0], fields[1], fields[2].lower()))
    return rows
