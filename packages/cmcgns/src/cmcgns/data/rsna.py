"""RSNA Pneumonia Detection Challenge, stage 2."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .pairs import Pair, PairDataset, Region
from .pixels import read_pixels
from .sources import box_in_film, find_file, image_path, number, read_rows


def load_rsna(root: Path) -> PairDataset:
    """One film per patient, its label "Pneumonia" and its boxes. The release has no split of its own.

    Boxes are in pixels; the films of the release are of one size, which is read from the first one.

    Raises:
        DataError: the table, a column or the image folder is missing, or a box is incomplete.
    """
    path = find_file(root, "stage_2_train_labels.csv*")
    rows = read_rows(path, ["patientId", "x", "y", "width", "height", "Target"])
    folder = root / "stage_2_train_images"
    first = next(iter(sorted(folder.glob("*"))), None)
    if first is None:
        raise DataError(f"{root.name}: no films in stage_2_train_images/; unpack the images there")
    height, width = read_pixels(first).shape
    boxes: dict[str, list[Region]] = {}
    targets: dict[str, float] = {}
    for count, row in enumerate(rows, start=2):
        patient = row["patientId"]
        target = number(row, "Target", path.name)
        if target not in (0.0, 1.0):
            raise DataError(f"{path.name}: line {count}: column Target must be 0 or 1")
        targets[patient] = target
        corner = [number(row, column, path.name) for column in ("x", "y", "width", "height")]
        found = boxes.setdefault(patient, [])
        if target == 1.0:
            if None in corner:
                raise DataError(f"{path.name}: line {count}: Target is 1 but the box is incomplete")
            x, y, w, h = (float(v or 0) for v in corner)
            box = box_in_film((x, y, x + w, y + h), width, height, f"{path.name}: line {count}")
            found.append(Region("Pneumonia", box))
    pairs = [
        Pair(
            image=image_path(folder, f"{patient}{first.suffix}"),
            sample_id=patient,
            study_id=patient,
            patient_id=patient,
            labels={"Pneumonia": target},
            regions=tuple(boxes[patient]),
        )
        for patient, target in targets.items()
    ]
    return PairDataset("rsna", tuple(pairs), ("Pneumonia",))
