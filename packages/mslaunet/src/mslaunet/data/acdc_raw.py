"""The raw ACDC challenge: `patientXXX/patientXXX_frameYY.nii.gz` with `_gt`, and `Info.cfg` with the two phases."""

from __future__ import annotations

import re
from pathlib import Path

from .._shared.errors import DataError
from .acdc import CLASSES
from .dataset import Case, Dataset

_TRAINING = ("", "training", "database/training")
_TESTING = ("testing", "database/testing")
_FRAME = re.compile(r"(?P<patient>patient\d+)_frame(?P<frame>\d+)\.nii(\.gz)?$", re.IGNORECASE)


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout."""
    return any(_patients(root / place) for place in _TRAINING)


def open_acdc_raw(root: Path) -> Dataset:
    """Open the patients of the folder, of `training/`, and for testing those of `testing/`.

    The end-diastolic and end-systolic frames of a patient are two cases of one patient; the 4-D film is left alone.

    Raises:
        DataError: a training frame has no mask, `Info.cfg` names a frame that is not there, or no patient is.
    """
    training = next((cases for place in _TRAINING if (cases := _cases(root / place, needs_mask=True))), ())
    if not training:
        raise DataError(f"{root.name}: no patientXXX/patientXXX_frameYY.nii.gz in it")
    testing = next((cases for place in _TESTING if (cases := _cases(root / place, needs_mask=False))), ())
    return Dataset(root, "acdc-raw", CLASSES, ("MR",), training, testing, labels="human")


def _patients(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("patient[0-9]*") if p.is_dir()) if folder.is_dir() else []


def _cases(folder: Path, *, needs_mask: bool) -> tuple[Case, ...]:
    cases = []
    for patient in _patients(folder):
        frames = {
            int(m["frame"]): path for path in sorted(patient.iterdir()) if (m := _FRAME.fullmatch(path.name))
        }
        if missing := sorted(_phases(patient) - frames.keys()):
            raise DataError(
                f"{patient.name}/Info.cfg: names frame {missing[0]}, and {patient.name}_frame{missing[0]:02d}.nii.gz "
                "is not there"
            )
        for path in frames.values():
            stem = path.name.partition(".")[0]
            mask = path.with_name(path.name.replace(stem, f"{stem}_gt"))
            if needs_mask and not mask.is_file():
                raise DataError(f"{patient.name}/{mask.name}: the mask of a training frame is missing")
            cases.append(Case(stem, (path,), mask if mask.is_file() else None, patient_id=f"acdc {patient.name}"))
    return tuple(cases)


def _phases(patient: Path) -> set[int]:
    """Numbers of the end-diastolic and end-systolic frame by `Info.cfg`; empty without one.

    Raises:
        DataError: it is there and not readable.
    """
    path = patient / "Info.cfg"
    if not path.is_file():
        return set()
    try:
        pairs = [line.partition(":") for line in path.read_text(encoding="utf-8").splitlines()]
        return {int(value) for key, _, value in pairs if key.strip() in ("ED", "ES")}
    except ValueError as err:
        raise DataError(f"{patient.name}/Info.cfg: not readable; expected lines like ED: 1 and ES: 12") from err
