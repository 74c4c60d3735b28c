"""Synthetic data sets with reports: MIMIC-CXR, CheXpert Plus, IU X-Ray, ROCO, PadChest-GR, MS-CXR, tables, shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from .._shared.files import atomic_write
from .._shared.io.images import write_png
from ..data.chexpert_labels import CHEXPERT_LABELS
from ..data.pairs import Pair, PairDataset
from .files import write_csv, write_jpeg, write_text

_SIDES = ("train", "train", "train", "validate", "test")


def side_of(index: int, validation: str = "validation") -> str:
    """Side of a study: three of five train, one validation, one test."""
    return _SIDES[index % 5].replace("validate", validation)


def films_of_studies(dataset: PairDataset) -> list[tuple[int, int, Pair]]:
    """(study, film of the study, sample): samples of one patient are one study here."""
    first: dict[str, list[Pair]] = {}
    for pair in dataset:
        first.setdefault(pair.patient_id, []).append(pair)
    return [(study, place, pair) for study, pairs in enumerate(first.values()) for place, pair in enumerate(pairs)]


def write_mimic(root: Path, dataset: PairDataset) -> None:
    """The JPG release and the reports below one root, with the release's traps.

    Film 0 is lateral; among the first reports one has no impression, one no findings, one neither, one is a numbered
    list with decimals; the last study is missing from the split table.
    """
    metadata, split, labels = [], [], []
    studies = films_of_studies(dataset)
    for number, (study, place, pair) in enumerate(studies):
        subject, study_id = str(10000000 + study), str(50000000 + number)
        dicom = "-".join(f"{(number + 1) * 7919 + k:08x}" for k in range(5))
        folder = f"files/p{subject[:2]}/p{subject}"
        write_jpeg(root / folder / f"s{study_id}" / f"{dicom}.jpg", _pixels(pair))
        write_text(root / folder / f"s{study_id}.txt", _mimic_report(pair, number))
        view = "LATERAL" if number == 0 else ("AP", "PA")[place % 2]
        ids = {"dicom_id": dicom, "subject_id": subject, "study_id": study_id}
        metadata.append({**ids, "ViewPosition": view, "Rows": 64, "Columns": 64})
        if number < len(studies) - 1:
            side = "train" if number < 6 else side_of(study, "validate")
            split.append({**ids, "split": side})
        values = {name: _label(pair, name) for name in CHEXPERT_LABELS}
        labels.append({"subject_id": subject, "study_id": study_id, **values})
    write_csv(root / "mimic-cxr-2.0.0-metadata.csv.gz", metadata)
    write_csv(root / "mimic-cxr-2.0.0-split.csv.gz", split)
    write_csv(root / "mimic-cxr-2.0.0-chexpert.csv.gz", labels)


def write_chexpert_plus(root: Path, dataset: PairDataset) -> None:
    """Films below `train/` and one table with reports and sections."""
    rows = []
    for study, place, pair in films_of_studies(dataset):
        path = f"train/patient{study:05d}/study{place + 1}/view1_frontal.jpg"
        write_jpeg(root / path, _pixels(pair))
        findings, impression = _halves(pair)
        report = f"FINDINGS: {findings}\nIMPRESSION: {impression}\n"
        row = {"path_to_image": path, "report": report, "section_findings": findings}
        side = "valid" if side_of(study) == "test" else "train"
        rows.append({**row, "section_impression": impression, "split": side})
    write_csv(root / "df_chexpert_plus_synth.csv", rows)


def write_iuxray(root: Path, dataset: PairDataset) -> None:
    """One XML per study, PNG films, and a projection table in which the first film is lateral."""
    projections = []
    studies: dict[int, list[Pair]] = {}
    for study, _, pair in films_of_studies(dataset):
        studies.setdefault(study, []).append(pair)
    for study, pairs in studies.items():
        names = [f"CXR{study + 1}_IM-{study:04d}-{1001 + place}" for place in range(len(pairs))]
        for place, (name, pair) in enumerate(zip(names, pairs, strict=True)):
            write_png(root / "images" / f"{name}.png", _pixels(pair))
            view = "Lateral" if study == 0 and place == 0 else "Frontal"
            projections.append({"uid": study + 1, "filename": f"{name}.png", "projection": view})
        write_text(root / "ecgen-radiology" / f"{study + 1}.xml", _indiana(study + 1, pairs[-1], names))
    write_csv(root / "indiana_projections.csv", projections)


def write_roco(root: Path, dataset: PairDataset) -> None:
    """Version 1: captions per side, tab-separated, and one caption without its image."""
    captions: dict[str, list[str]] = {}
    for number, (study, _, pair) in enumerate(films_of_studies(dataset)):
        side, name = side_of(study), f"ROCO_{number:05d}"
        if number:
            write_jpeg(root / side / "radiology" / "images" / f"{name}.jpg", _pixels(pair))
        captions.setdefault(side, []).append(f"{name}\t{pair.report}")
    for side, lines in captions.items():
        write_text(root / side / "radiology" / "captions.txt", "\n".join(lines) + "\n")


def write_padchest_gr(root: Path, dataset: PairDataset) -> None:
    """Grounded sentences, a master table and 16-bit PNG films."""
    studies, table = [], []
    for number, (study, _, pair) in enumerate(films_of_studies(dataset)):
        image, key = f"{number:06d}.png", f"S{number:05d}"
        write_png(root / "PadChest_GR" / image, _pixels(pair).astype(np.uint16) * 257)
        findings: list[dict[str, Any]] = []
        for sentence in _sentences(pair):
            regions = [r for r in pair.regions if r.sentence == sentence]
            entry = {"sentence_en": sentence, "sentence_es": f"[es] {sentence}", "abnormal": bool(regions)}
            if regions:
                entry |= {"boxes": [list(_inside(r.box)) for r in regions], "labels": [r.label for r in regions]}
            findings.append(entry)
        studies.append({"StudyID": key, "ImageID": image, "findings": findings})
        table.append({"StudyID": key, "PatientID": f"P{study:04d}", "split": side_of(study)})
    atomic_write(root / "grounded_reports_20240819.json", json.dumps(studies))
    write_csv(root / "master_table.csv", table)


def write_ms_cxr(root: Path, dataset: PairDataset) -> None:
    """One row per phrase and box, films at MIMIC's paths."""
    rows = []
    for number, (study, _, pair) in enumerate(films_of_studies(dataset)):
        image = _pixels(pair)
        height, width = image.shape
        dicom = "-".join(f"{(number + 1) * 104729 + k:08x}" for k in range(5))
        path = f"files/p10/p{10000000 + study}/s{50000000 + number}/{dicom}.jpg"
        if pair.regions:
            write_jpeg(root / path, image)
        for region in pair.regions:
            x0, y0, x1, y1 = _inside(region.box)
            box = {"x": x0 * width, "y": y0 * height, "w": (x1 - x0) * width, "h": (y1 - y0) * height}
            box = {key: round(value, 2) for key, value in box.items()}
            row = {"dicom_id": dicom, "category_name": region.label, "label_text": region.sentence, "path": path}
            rows.append(
                {**row, **box, "image_width": width, "image_height": height, "split": side_of(study, "val")}
            )
    write_csv(root / "MS_CXR_Local_Alignment_v1.1.0.csv", rows)


def write_table(root: Path, dataset: PairDataset, kind: str) -> None:
    """PNG films and one table: csv, parquet or JSON lines."""
    rows = []
    for number, (study, _, pair) in enumerate(films_of_studies(dataset)):
        write_png(root / "images" / f"{number:05d}.png", _pixels(pair))
        row = {"image": f"images/{number:05d}.png", "report": pair.report, "patient_id": f"p{study:04d}"}
        rows.append({**row, **{name: int(value) for name, value in pair.labels.items()}})
    if kind == "csv":
        write_csv(root / "data.csv", rows)
    elif kind == "jsonl":
        atomic_write(root / "data.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        import pyarrow as pa
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), root / "data.parquet")


def _mimic_report(pair: Pair, number: int) -> str:
    findings, impression = _halves(pair)
    if number == 4:
        return f" FINAL REPORT\n {pair.report}\n"
    if number == 3:
        impression = f"1. {impression}\n 2. Stable 2.5 cm nodule, compared with ___ at 3 p.m."
    body = " FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n INDICATION:  ___-year-old with cough.\n\n"
    body += "" if number == 2 else f" FINDINGS: \n \n {findings}\n\n"
    return body + ("" if number == 1 else f" IMPRESSION: \n \n {impression}\n")


def _indiana(number: int, pair: Pair, images: list[str]) -> str:
    findings, impression = _halves(pair)
    texts = {"COMPARISON": "None.", "INDICATION": "XXXX cough.", "FINDINGS": findings, "IMPRESSION": impression}
    abstract = "".join(f"<AbstractText Label={quoteattr(k)}>{escape(v)}</AbstractText>" for k, v in texts.items())
    mesh = [name for name, value in pair.labels.items() if value == 1] or ["normal"]
    major = "".join(f"<major>{escape(name)}</major>" for name in mesh)
    parents = "".join(f"<parentImage id={quoteattr(name)}/>" for name in images)
    body = f'<uId id="CXR{number}"/><Abstract>{abstract}</Abstract><MeSH>{major}</MeSH>{parents}'
    return f"<?xml version='1.0'?>\n<eCitation>{body}</eCitation>\n"


def _sentences(pair: Pair) -> list[str]:
    return [f"{part.rstrip('.')}." for part in pair.report.split(". ") if part]


def _halves(pair: Pair) -> tuple[str, str]:
    """Findings and impression: the sentences about what is there are the impression, as radiologists write it."""
    named = [region.sentence for region in pair.regions]
    others = [sentence for sentence in _sentences(pair) if sentence not in named]
    return " ".join(others), " ".join(named) or "No acute disease."


def _label(pair: Pair, name: str) -> str:
    value = pair.labels.get(name)
    return "" if value is None else f"{value:.1f}"


def _pixels(pair: Pair) -> np.ndarray:
    return np.asarray(pair.image)


def _inside(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (min(max(v, 0.0), 1.0) for v in box)
    return x0, y0, x1, y1
