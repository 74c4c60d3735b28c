"""Which cases of a data set a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from .._shared.errors import DataError
from .dataset import Case, Dataset
from .layouts import LAYOUTS

Part = Literal["test", "train"]


def cases_of(dataset: Dataset, part: Part) -> tuple[Case, ...]:
    """The testing or the training cases.

    Raises:
        DataError: there are none.
    """
    cases = dataset.testing if part == "test" else dataset.training
    if not cases:
        other = "train" if part == "test" else "test"
        raise DataError(f"{dataset.root.name}: no {part} cases in this data set; choose --part {other}")
    return cases


def is_dataset(root: Path) -> bool:
    """Whether a folder looks like a data set of any layout."""
    return root.is_dir() and any(kind.recognises(root) for kind in LAYOUTS.values())
