"""The abdominal MR of the offline assets: one scan with the organs that CT sets have, masks made by a model."""

from __future__ import annotations

from pathlib import Path

from .._shared.errors import DataError
from .dataset import Case, Dataset

_PLACES = ("", "tests/reference_files")
_IMAGE, _MASK = "example_mr_sm.nii.gz", "example_seg_mr.nii.gz"
# Ids 1 to 7 of the tool's tables for MR and CT; of the other structures this scan shows parts only.
CLASSES = dict(
    enumerate(
        ("background", "spleen", "right kidney", "left kidney", "gallbladder", "liver", "stomach", "pancreas")
    )
)
_MAX_ID = 255


def recognises(root: Path) -> bool:
    """Whether a folder looks like this layout."""
    return any((root / place / _IMAGE).is_file() for place in _PLACES)


def open_totalsegmentator_mr(root: Path) -> Dataset:
    """Open the MR of TotalSegmentator's own tests; seven organs, the tool's other structures are background.

    Raises:
        DataError: the files are missing.
    """
    folder = next((root / place for place in _PLACES if (root / place / _IMAGE).is_file()), root)
    if not (folder / _IMAGE).is_file() or not (folder / _MASK).is_file():
        raise DataError(
            f"{root.name}: expected {_IMAGE} and {_MASK}; get them with: mslaunet assets fetch totalsegmentator"
        )
    ids = {i: i if i in CLASSES else 0 for i in range(_MAX_ID + 1)}
    case = Case("example_mr", (folder / _IMAGE,), folder / _MASK, label_map=ids)
    return Dataset(
        root,
        "totalsegmentator-mr",
        CLASSES,
        ("MR",),
        (case,),
        labels="silver",
        warnings=("one patient, masks made by a model (silver): scores show that the software works, no more",),
    )
