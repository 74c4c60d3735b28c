"""MIMIC-CXR-JPG 2.0.0 and 2.1.0 with the reports of MIMIC-CXR."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._shared.errors import DataError
from .chexpert_labels import CHEXPERT_LABELS
from .pairs import Pair, PairDataset, Split
from .sections import report_text, split_sections
from .sources import find_file, find_optional, image_path, labels_of, read_rows, read_text

FRONTAL = ("PA", "AP")
_SPLITS: Mapping[str, Split] = {"train": "train", "validate": "validation", "test": "test"}


def load_mimic(root: Path, *, reports: Path | None = None) -> PairDataset:
    """Frontal films (PA, AP), each with the report of its study, on the side of the official split.

    Needed: the metadata table (dicom_id, subject_id, study_id, ViewPosition), the split table, and the report texts;
    the CheXpert labels are optional. Excluded, with the reason: films of studies without report, without findings and
    impression, or missing from the split table.

    Args:
        root: the JPG release, with `files/p10/p<subject>/s<study>/<dicom>.jpg`.
        reports: the report release, with `files/p10/p<subject>/s<study>.txt`; default: `root`.

    Raises:
        DataError: a table or one of its columns is missing.
    """
    metadata = find_file(root, "mimic-cxr-2*-metadata.csv*")
    rows = read_rows(metadata, ["dicom_id", "subject_id", "study_id", "ViewPosition"])
    split_file = find_file(root, "mimic-cxr-2*-split.csv*")
    sides = {row["dicom_id"]: row["split"] for row in read_rows(split_file, ["dicom_id", "split"])}
    labels = _study_labels(root)
    texts: dict[str, tuple[dict[str, str], str]] = {}
    pairs, excluded = [], {}
    for count, row in enumerate(rows, start=2):
        if row["ViewPosition"] not in FRONTAL:
            continue
        study = row["study_id"]
        if study not in texts:
            texts[study] = _read_report(reports or root, row)
        sections, reason = texts[study]
        if row["dicom_id"] not in sides:
            reason = "not in the split table"
        if reason:
            excluded[f"{metadata.name} line {count}"] = reason
            continue
        side = sides[row["dicom_id"]]
        if side not in _SPLITS:
            raise DataError(f"{split_file.name}: column split holds {side[:20]!r}; expected {', '.join(_SPLITS)}")
        folder = _study_folder(row)
        pairs.append(
            Pair(
                image=image_path(root, f"{folder}/{row['dicom_id']}.jpg"),
                report=report_text(sections),
                sections=sections,
                sample_id=row["dicom_id"],
                study_id=study,
                patient_id=row["subject_id"],
                labels=labels.get(study, {}),
                split=_SPLITS[side],
                view=row["ViewPosition"],
            )
        )
    return PairDataset("mimic-cxr", tuple(pairs), CHEXPERT_LABELS if labels else (), excluded)


def _study_folder(row: Mapping[str, Any]) -> str:
    subject = str(row["subject_id"])
    return f"files/p{subject[:2]}/p{subject}/s{row['study_id']}"


def _read_report(root: Path, row: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Sections of a study's report, and why it cannot be used ("" if it can)."""
    path = image_path(root, f"{_study_folder(row)}.txt")
    if not path.is_file():
        return {}, "its study has no report file"
    sections = split_sections(read_text(path))
    return sections, "" if report_text(sections) else "its report has neither findings nor impression"


def _study_labels(root: Path) -> dict[str, dict[str, float]]:
    path = find_optional(root, "mimic-cxr-2*-chexpert.csv*", "mimic-cxr-2*-negbio.csv*")
    if path is None:
        return {}
    rows = read_rows(path, ["study_id", *CHEXPERT_LABELS])
    return {row["study_id"]: labels_of(row, CHEXPERT_LABELS, path.name) for row in rows}
