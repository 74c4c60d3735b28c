"""Which cases of a data set a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from .._shared.errors import DataError
from .dataset import Case, Dataset
from .layouts import LAYOUTS

Part = Literal["test", "validation", "train"]


def cases_of(dataset: Dataset, part: Part) -> tuple[Case, ...]:
    """The testing or the training cases, or those that the data set's own (first) fold keeps for validation.

    Raises:
        DataError: there are none; the message names the parts that there are.
    """
    kept = set(dataset.folds[0].val) if dataset.folds else set()
    parts: dict[Part, tuple[Case, ...]] = {
        "test": dataset.testing,
        "validation": tuple(case for case in dataset.training if case.case_id in kept),
        "train": dataset.training,
    }
    if not parts[part]:
        others = " or ".join(name for name, cases in parts.items() if cases)
        raise DataError(f"{dataset.root.name}: no {part} cases in this data set; choose --part {others}")
    return parts[part]


def is_dataset(root: Path) -> bool:
    """Whether a folder looks like a data set of any layout."""
    return root.is_dir() and any(kind.recognises(root) for kind in LAYOUTS.values())
