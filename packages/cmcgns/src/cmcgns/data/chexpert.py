"""CheXpert (full, small and Plus), its 5x200 subset and its competition labels."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.errors import DataError
from .._shared.order import generator
from .chexpert_labels import CHEXPERT_LABELS, COMPETITION_LABELS
from .pairs import ABSENT, PRESENT, UNCERTAIN, Pair, PairDataset, Split
from .sections import report_text, split_sections
from .sources import find_file, find_optional, image_path, image_root, labels_of, read_rows

# What the evaluation of the five competition labels makes of "uncertain".
UNCERTAIN_AS_PRESENT = ("Atelectasis", "Edema", "Pleural Effusion")

_IDS = re.compile(r"(patient\d+)/(study\d+)/")


def load_chexpert(root: Path) -> PairDataset:
    """Frontal films with fourteen labels; `train.csv` is the training side, `valid.csv` (and `test.csv`) the test side.

    Raises:
        DataError: a table or one of its columns is missing.
    """
    pairs: list[Pair] = []
    excluded: dict[str, str] = {}
    for name, side in (("train.csv", "train"), ("valid.csv", "test"), ("test.csv", "test")):
        path = (
            find_file(root, name, f"{name}.gz") if name == "train.csv" else find_optional(root, name, f"{name}.gz")
        )
        if path is not None:
            pairs += _films(root, path, side, excluded)  # type: ignore[arg-type]  # a literal of the tuple above
    return PairDataset("chexpert", tuple(pairs), CHEXPERT_LABELS, excluded)


def load_chexpert_plus(root: Path) -> PairDataset:
    """CheXpert Plus: the films of CheXpert with their reports, from one table.

    Needs `path_to_image` and `report`, or `section_findings` and `section_impression`; `split` is optional (train,
    valid). The column list is remembered from the release, not verified; labels are read where their columns are.

    Raises:
        DataError: the table or its columns are missing.
    """
    path = find_file(root, "df_chexpert_plus*.csv*", "chexpert_plus*.csv*")
    rows = read_rows(path, ["path_to_image"])
    if rows and not ({"report", "section_findings", "section_impression"} & set(rows[0])):
        raise DataError(f"{path.name}: no column report, section_findings or section_impression")
    base, drop = image_root(root, rows[0]["path_to_image"]) if rows else (root, 0)
    labels = [column for column in CHEXPERT_LABELS if rows and column in rows[0]]
    pairs, excluded = [], {}
    for count, row in enumerate(rows, start=2):
        sections = _plus_sections(row)
        frontal = "lateral" not in row["path_to_image"].lower()
        if not frontal or not report_text(sections):
            excluded[f"{path.name} line {count}"] = "no findings and no impression" if frontal else "lateral film"
            continue
        patient, study = _ids(row["path_to_image"], path.name, count)
        side: Split = "test" if row.get("split") in ("valid", "test") else "train"
        pairs.append(
            Pair(
                image=image_path(base, row["path_to_image"], drop),
                report=report_text(sections),
                sections=sections,
                sample_id=row["path_to_image"],
                study_id=f"{patient}/{study}",
                patient_id=patient,
                labels=labels_of(row, labels, path.name),
                split=side,
            )
        )
    return PairDataset("chexpert-plus", tuple(pairs), tuple(labels), excluded)


def competition_labels(dataset: PairDataset) -> PairDataset:
    """The five competition labels without gaps, as the protocol of MGCA and the official code fills them.

    Not mentioned is absent; uncertain is present for atelectasis, edema and effusion, absent for the other two.
    """

    def value(pair: Pair, name: str) -> float:
        label = pair.labels.get(name, ABSENT)
        if label == UNCERTAIN:
            return PRESENT if name in UNCERTAIN_AS_PRESENT else ABSENT
        return label

    pairs = (replace(p, labels={n: value(p, n) for n in COMPETITION_LABELS}) for p in dataset)
    return replace(dataset, pairs=tuple(pairs), label_names=COMPETITION_LABELS)


def chexpert_5x200(
    dataset: PairDataset, *, per_class: int = 200, seed: int = 0
) -> tuple[PairDataset, PairDataset]:
    """The zero-shot subset: films with exactly one competition label and no other finding, `per_class` of each.

    Returns:
        The subset, and the rest without any film of the subset's patients (the published subset shares 798 of its
        patients with the remaining training rows).

    Raises:
        DataError: a class has too few such films.
    """
    rng = generator(seed, "chexpert-5x200")
    chosen: list[int] = []
    for name in COMPETITION_LABELS:
        places = [i for i, pair in enumerate(dataset) if _only_finding(pair) == name]
        if len(places) < per_class:
            raise DataError(f"{dataset.name}: {len(places)} films show {name} alone; expected {per_class}")
        chosen += sorted(int(i) for i in rng.choice(places, per_class, replace=False))
    subset = dataset.take(chosen)
    patients = {pair.patient_id for pair in subset}
    rest = dataset.take([i for i, pair in enumerate(dataset) if pair.patient_id not in patients])
    return subset, rest


def positions_split(count: int, held_out: int, validation: int, seed: int = 0) -> dict[str, list[int]]:
    """The mechanism of the published code, for comparison only: it leaks.

    After `held_out` rows (5x200) were taken out, row labels have gaps. Validation rows are then chosen by position,
    but removed from the training rows by label: most of them stay. See `cmcgns` PARITY.md, defect 24.

    Returns:
        "train" and "validation": row numbers of the original table.
    """
    rng = np.random.default_rng(seed)
    out = set(rng.choice(count, held_out, replace=False).tolist())
    remaining = [row for row in range(count) if row not in out]
    positions = rng.choice(len(remaining), validation, replace=False).tolist()
    labels = set(positions)
    return {
        "validation": sorted(remaining[p] for p in positions),
        "train": [row for row in remaining if row not in labels],
    }


def _only_finding(pair: Pair) -> str:
    """The one competition label that is present while no other finding is; "" otherwise."""
    present = [
        name
        for name, value in pair.labels.items()
        if value == PRESENT and name not in ("No Finding", "Support Devices")
    ]
    return present[0] if len(present) == 1 and present[0] in COMPETITION_LABELS else ""


def _films(root: Path, path: Path, side: Split, excluded: dict[str, str]) -> list[Pair]:
    rows = read_rows(path, ["Path", *CHEXPERT_LABELS])
    base, drop = image_root(root, rows[0]["Path"]) if rows else (root, 0)
    pairs = []
    for count, row in enumerate(rows, start=2):
        view = row.get("Frontal/Lateral") or ("Lateral" if "lateral" in row["Path"].lower() else "Frontal")
        if view != "Frontal":
            excluded[f"{path.name} line {count}"] = "lateral film"
            continue
        patient, study = _ids(row["Path"], path.name, count)
        pairs.append(
            Pair(
                image=image_path(base, row["Path"], drop),
                sample_id=row["Path"],
                study_id=f"{patient}/{study}",
                patient_id=patient,
                labels=labels_of(row, CHEXPERT_LABELS, path.name),
                split=side,
                view=row.get("AP/PA") or "",
            )
        )
    return pairs


def _ids(text: str, name: str, line: int) -> tuple[str, str]:
    found = _IDS.search(text)
    if not found:
        raise DataError(f"{name}: line {line}: expected a path with patient<number>/study<number>/")
    return found.group(1), found.group(2)


def _plus_sections(row: dict[str, Any]) -> dict[str, str]:
    own = {name: " ".join((row.get(f"section_{name}") or "").split()) for name in ("findings", "impression")}
    own = {name: text for name, text in own.items() if text}
    return own or split_sections(row.get("report") or "")
