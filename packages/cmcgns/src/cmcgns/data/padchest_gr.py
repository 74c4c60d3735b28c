"""PadChest-GR: grounded reports, in English or Spanish."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from .._shared.errors import DataError
from .pairs import ABSENT, PRESENT, Pair, PairDataset, Region, Split
from .sources import box_in_film, find_file, image_path, read_json, read_rows

_SIDES: dict[str, Split] = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


def load_padchest_gr(root: Path, *, language: Literal["en", "es"] = "en") -> PairDataset:
    """Studies with one film, a report in sentences, and boxes for the sentences that name something abnormal.

    Needs `grounded_reports_*.json`, `master_table.csv` (StudyID, PatientID, split) and `PadChest_GR/<image>.png`.

    Args:
        root: the data set's folder.
        language: of the sentences.

    Raises:
        DataError: a file, a column or a field is missing or damaged.
    """
    path = find_file(root, "grounded_reports_*.json")
    table = find_file(root, "master_table.csv*")
    patients = {row["StudyID"]: row for row in read_rows(table, ["StudyID", "PatientID", "split"])}
    studies = read_json(path)
    if not isinstance(studies, list):
        raise DataError(f"{path.name}: expected a list of studies")
    folder = next((root / n for n in ("PadChest_GR", "images") if (root / n).is_dir()), root)
    pairs, excluded, names = [], {}, dict[str, None]()
    for count, study in enumerate(studies):
        where = f"{path.name}: study {count}"
        try:
            key, image, findings = str(study["StudyID"]), str(study["ImageID"]), study["findings"]
            sentences = [" ".join(str(f[f"sentence_{language}"]).split()) for f in findings]
        except (KeyError, TypeError) as err:
            raise DataError(f"{where}: expected StudyID, ImageID and findings with sentence_{language}") from err
        if key not in patients:
            excluded[where] = "not in master_table.csv"
            continue
        labels = {str(name): PRESENT for f in findings for name in f.get("labels") or () if f.get("abnormal")}
        names |= dict.fromkeys(labels)
        row = patients[key]
        if row["split"] not in _SIDES:
            raise DataError(
                f"{table.name}: column split holds {row['split'][:20]!r}; expected train, validation or test"
            )
        pairs.append(
            Pair(
                image=image_path(folder, image),
                report=" ".join(sentences),
                sections={"findings": " ".join(sentences)},
                sample_id=image,
                study_id=key,
                patient_id=row["PatientID"],
                labels=labels,
                regions=tuple(r for f, s in zip(findings, sentences, strict=True) for r in _regions(f, s, where)),
                split=_SIDES[row["split"]],
            )
        )
    # a report of this set lists everything that was seen, so what it does not list is absent
    complete = (replace(p, labels={name: p.labels.get(name, ABSENT) for name in names}) for p in pairs)
    return PairDataset("padchest-gr", tuple(complete), tuple(names), excluded)


def _regions(finding: Any, sentence: str, where: str) -> list[Region]:
    label = next((str(name) for name in finding.get("labels") or ()), "finding")
    try:
        boxes = [tuple(float(v) for v in box) for box in finding.get("boxes") or ()]
    except (TypeError, ValueError) as err:
        raise DataError(f"{where}: boxes: expected four numbers each") from err
    if any(len(box) != 4 for box in boxes):
        raise DataError(f"{where}: boxes: expected four numbers each")
    return [Region(label, box_in_film((b[0], b[1], b[2], b[3]), 1, 1, where), sentence) for b in boxes]
