"""Synthetic data sets without reports: CheXpert, RSNA, COVIDx, SIIM, Object-CXR, VinDr."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .._shared.io.images import write_png
from ..data.chexpert_labels import CHEXPERT_LABELS
from ..data.pairs import Pair, PairDataset
from ..data.pixels import encode_runs
from .files import write_csv, write_film, write_jpeg, write_text
from .paired import films_of_studies, side_of

_COVIDX = {"Consolidation": "pneumonia", "Edema": "COVID-19"}


def write_chexpert(root: Path, dataset: PairDataset) -> None:
    """`train.csv` and `valid.csv` below the release's folder name, one lateral film, uncertain and empty labels."""
    rows: dict[str, list[dict[str, object]]] = {"train": [], "valid": []}
    for number, (study, place, pair) in enumerate(films_of_studies(dataset)):
        side = "valid" if side_of(study) == "test" else "train"
        view = "lateral" if number == 0 else "frontal"
        path = f"{side}/patient{study:05d}/study{place + 1}/view1_{view}.jpg"
        write_jpeg(root / path, np.asarray(pair.image))
        values = {name: "" if (v := pair.labels.get(name)) is None else v for name in CHEXPERT_LABELS}
        if number == 1:
            values["Edema"] = -1.0
        facts = {"Sex": "Unknown", "Age": 0, "Frontal/Lateral": view.title(), "AP/PA": "AP"}
        rows[side].append({"Path": f"CheXpert-v1.0-small/{path}", **facts, **values})
    for side, found in rows.items():
        write_csv(root / f"{side}.csv", found)


def write_rsna(root: Path, dataset: PairDataset) -> None:
    """DICOM films, the first as MONOCHROME1; every planted box is a pneumonia box."""
    rows: list[dict[str, object]] = []
    for number, pair in enumerate(dataset):
        image, patient = np.asarray(pair.image), f"synth-{number:04d}"
        write_film(root / "stage_2_train_images" / f"{patient}.dcm", image, inverted=number == 0)
        boxes = [_pixel_box(region.box, image) for region in pair.regions]
        for x0, y0, x1, y1 in boxes:
            corner = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
            rows.append({"patientId": patient, **corner, "Target": 1})
        if not boxes:
            rows.append({"patientId": patient, "x": "", "y": "", "width": "", "height": "", "Target": 0})
    write_csv(root / "stage_2_train_labels.csv", rows)


def write_covidx(root: Path, dataset: PairDataset) -> None:
    """Lists of version 9A; the class is planted: edema stands for COVID-19, consolidation for pneumonia."""
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for number, (study, _, pair) in enumerate(films_of_studies(dataset)):
        side = "test" if side_of(study) == "test" else "train"
        kind = next((c for name, c in _COVIDX.items() if pair.labels.get(name) == 1), "normal")
        name = f"film{number:04d}.png"
        image = np.asarray(pair.image)
        write_png(root / side / name, np.repeat(image[..., None], 3, axis=2) if number == 0 else image)
        lines[side].append(f"{study} {name} {kind} synth")
    for side, found in lines.items():
        write_text(root / f"{side}_COVIDx9A.txt", "\n".join(found) + "\n")


def write_siim(root: Path, dataset: PairDataset) -> None:
    """Run lengths, one row per planted shape, header with the blank of the release; DICOM films two folders deep."""
    lines = ["ImageId, EncodedPixels"]
    for number, pair in enumerate(dataset):
        name = f"1.2.826.{number}"
        write_film(root / "dicom-images-train" / f"s{number}" / "1" / f"{name}.dcm", np.asarray(pair.image))
        masks = _shapes(pair)
        lines += [f"{name},{encode_runs(mask)}" for mask in masks] or [f"{name},{'-1' if number % 2 else ' -1'}"]
    write_text(root / "train-rle.csv", "\n".join(lines) + "\n")


def write_object_cxr(root: Path, dataset: PairDataset) -> None:
    """Rectangles, ellipses and polygons in turn, in `train.csv` and `dev.csv`."""
    rows: dict[str, list[dict[str, object]]] = {"train": [], "dev": []}
    for number, (study, _, pair) in enumerate(films_of_studies(dataset)):
        side = "dev" if side_of(study) == "test" else "train"
        image = np.asarray(pair.image)
        write_jpeg(root / side / f"{number:05d}.jpg", image)
        shapes = []
        for place, region in enumerate(pair.regions):
            x0, y0, x1, y1 = _pixel_box(region.box, image)
            middle = f"{(x0 + x1) / 2} {y0} {x1} {(y0 + y1) / 2} {(x0 + x1) / 2} {y1} {x0} {(y0 + y1) / 2}"
            shapes.append(f"2 {middle}" if place % 3 == 2 else f"{place % 3} {x0} {y0} {x1} {y1}")
        rows[side].append({"image_name": f"{number:05d}.jpg", "annotation": ";".join(shapes)})
    for side, found in rows.items():
        write_csv(root / f"{side}.csv", found)


def write_vindr(root: Path, dataset: PairDataset) -> None:
    """Three readers per training film, the third of whom misses everything; one consensus per test film."""
    rows: dict[str, list[dict[str, object]]] = {"train": [], "test": []}
    for number, (study, _, pair) in enumerate(films_of_studies(dataset)):
        side = "test" if side_of(study) == "test" else "train"
        image, key = np.asarray(pair.image), f"vindr{number:04d}"
        write_film(root / side / f"{key}.dicom", image)
        for reader in ("R1", "R2", "R3") if side == "train" else ("consensus",):
            found = () if reader == "R3" else pair.regions
            base = {"image_id": key, "rad_id": reader}
            for region in found:
                x0, y0, x1, y1 = _pixel_box(region.box, image)
                corner = {"x_min": x0, "y_min": y0, "x_max": x1, "y_max": y1}
                rows[side].append({**base, "class_name": region.label, **corner})
            if not found:
                corner = dict.fromkeys(("x_min", "y_min", "x_max", "y_max"), "")
                rows[side].append({**base, "class_name": "No finding", **corner})
    for side, found_rows in rows.items():
        write_csv(root / f"annotations_{side}.csv", found_rows)


def _pixel_box(box: tuple[float, float, float, float], image: np.ndarray) -> tuple[float, float, float, float]:
    height, width = image.shape
    x0, x1 = (round(min(max(v, 0.0), 1.0) * width, 2) for v in (box[0], box[2]))
    y0, y1 = (round(min(max(v, 0.0), 1.0) * height, 2) for v in (box[1], box[3]))
    return x0, y0, x1, y1


def _shapes(pair: Pair) -> list[np.ndarray]:
    """The planted mask, cut into one mask per region."""
    mask = np.asarray(pair.mask) if pair.mask is not None else None
    shapes = []
    for region in pair.regions:
        if mask is not None:
            x0, y0, x1, y1 = (round(v) for v in _pixel_box(region.box, mask))
            part = np.zeros_like(mask)
            part[y0:y1, x0:x1] = mask[y0:y1, x0:x1]
            shapes.append(part)
    return [shape for shape in shapes if shape.any()]
