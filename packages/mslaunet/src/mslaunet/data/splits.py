"""Which cases are kept for validation: built by patient, stratified, written as nnU-Net's `splits_final.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import TypeAdapter, ValidationError

from .._shared.errors import ConfigError, DataError
from .._shared.files import atomic_write
from .dataset import Case, Dataset, Fold, Layout, open_dataset
from .labels import LabelMapName
from .lists import official_split
from .loading import load_case_of

FILE_NAME = "splits_final.json"
Stratum = Literal["labels", "foreground", "none"]
_FOLDS = TypeAdapter(list[dict[Literal["train", "val"], list[str]]])
_SHARE_EDGES = (0.001, 0.01, 0.05, 0.15)  # of the image; decades below, then what organs and lesions have


def build_folds(units: Mapping[str, str], strata: Mapping[str, str], *, folds: int, seed: int) -> tuple[Fold, ...]:
    """Cut the cases into parts of about equal size and mix, all cases of a patient in one part.

    The assignment is scikit-learn's StratifiedGroupKFold, with the order of the patients decided by the seed.

    Args:
        units: case id to patient or video sequence.
        strata: case id to what shall be as frequent in every part.
        folds: number of parts, each kept for validation once.
        seed: decides the parts.

    Raises:
        DataError: there are fewer patients than parts.

    Example:
        >>> units = {f"c{i}": f"p{i // 2}" for i in range(8)}
        >>> [fold.val for fold in build_folds(units, dict.fromkeys(units, ""), folds=2, seed=0)]
        [('c2', 'c3', 'c4', 'c5'), ('c0', 'c1', 'c6', 'c7')]
    """
    from sklearn.model_selection import StratifiedGroupKFold

    names = sorted(units)
    groups = np.array([units[name] for name in names])
    if (count := len(set(groups))) < folds:
        raise DataError(f"{folds} folds of {count} patients or sequences; ask for at most {count} folds")
    kinds = np.array([strata[name] for name in names])
    cut = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    parts = _parts(cut, kinds, groups)
    return tuple(
        Fold(
            tuple(n for n, p in zip(names, parts, strict=True) if p != k),
            tuple(np.array(names)[parts == k].tolist()),
        )
        for k in range(folds)
    )


def _parts(cut: object, kinds: np.ndarray, groups: np.ndarray) -> np.ndarray:
    import warnings

    parts = np.empty(len(groups), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on strata smaller than the number of folds, which is no error
        for k, (_, kept) in enumerate(cut.split(groups, kinds, groups)):  # type: ignore[attr-defined]
            parts[kept] = k
    return parts


def split_dataset(dataset: Dataset, *, folds: int, seed: int, stratify: Stratum = "labels") -> tuple[Fold, ...]:
    """Folds of a data set's training cases by patient, see `build_folds`.

    Args:
        dataset: an open data set.
        folds: number of parts.
        seed: decides the parts.
        stratify: "labels": by the rarest class in the mask; "foreground": by the share of labelled pixels; "none".

    Raises:
        DataError: too few patients, or a mask cannot be read.
    """
    units = {case.case_id: case.patient_id for case in dataset.training}
    strata = dict.fromkeys(units, "")
    if stratify != "none":
        counts = {case.case_id: label_counts(case, dataset) for case in dataset.training}
        strata = _rarest(counts) if stratify == "labels" else _shares(counts)
    return build_folds(units, strata, folds=folds, seed=seed)


def label_counts(case: Case, dataset: Dataset) -> np.ndarray:
    """Voxels (K,) of every class in the mask of a case."""
    loaded = load_case_of(dataset, case)
    if loaded.mask is None:
        raise DataError(f"{case.images[0].name}: has no mask")
    return np.bincount(loaded.mask.ravel(), minlength=len(dataset.classes))


def _rarest(counts: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Of the classes in a case the one that fewest cases have; what makes cases scarce decides where they go."""
    frequency = np.sum([count > 0 for count in counts.values()], axis=0)
    return {
        name: str(min((int(c) for c in np.flatnonzero(count[1:]) + 1), key=lambda c: (frequency[c], c), default=0))
        for name, count in counts.items()
    }


def _shares(counts: Mapping[str, np.ndarray]) -> dict[str, str]:
    return {
        name: str(int(np.searchsorted(_SHARE_EDGES, count[1:].sum() / count.sum())))
        for name, count in counts.items()
    }


def official_folds(dataset: Dataset, name: str) -> tuple[Fold, str]:
    """One fold by an official list, its test part kept, and the warning that belongs to it.

    Raises:
        ConfigError: no such list.
        DataError: the data set has other cases.
    """
    official = official_split(name)
    known = {case.case_id for case in dataset.training}
    if missing := sorted((official.train | official.test) - known):
        raise DataError(
            f"{dataset.root.name}: {len(missing)} of {len(official.train | official.test)} cases of the official split "
            f"{name} are no training cases here, the first: {missing[0]}"
        )
    kept = tuple(sorted(known & official.test))
    return Fold(tuple(sorted(known & official.train)), kept), official.warning


@dataclass(frozen=True)
class MadeSplit:
    """The file that was written, what is in it, and what its user must know."""

    path: Path
    folds: tuple[Fold, ...]
    warnings: tuple[str, ...]


def make_split(
    root: Path,
    *,
    layout: Layout = "auto",
    label_map: LabelMapName | None = None,
    folds: int = 5,
    stratify: Stratum = "labels",
    official: str | None = None,
    overlap: Literal["refuse", "allow"] = "refuse",
    seed: int = 0,
) -> MadeSplit:
    """Write the folds of a data set into its folder, over those that are there.

    Args:
        root: the data set's folder.
        layout: its layout, or "auto".
        label_map: which numbers mean which organs, for Synapse and BTCV.
        folds: number of parts.
        stratify: see `split_dataset`.
        official: name of an official list, which gives one fold.
        overlap: what to do about patients or sequences on both sides, of an official list for instance.
        seed: decides the parts.

    Raises:
        DataError: the data set cannot be used, has too few patients, or the split parts a patient.
        ConfigError: an option does not fit.
        ResourceError: the folder is not writable.
    """
    dataset = open_dataset(root, layout, label_map=label_map, overlap="allow", own_folds=False)
    warnings: tuple[str, ...] = dataset.warnings
    if official is not None:
        fold, warning = official_folds(dataset, official)
        made, warnings = (fold,), (warning,)
    else:
        made = split_dataset(dataset, folds=folds, seed=seed, stratify=stratify)
    dataset = replace(dataset, folds=made)
    require_disjoint(dataset, overlap)
    return MadeSplit(write_folds(root, made), made, warnings)


def write_folds(root: Path, folds: Sequence[Fold]) -> Path:
    """Write `splits_final.json`, which nnU-Net reads too; atomic.

    Raises:
        ResourceError: the folder is not writable.
    """
    path = root / FILE_NAME
    atomic_write(path, json.dumps([{"train": list(f.train), "val": list(f.val)} for f in folds], indent=1) + "\n")
    return path


def read_folds(dataset: Dataset) -> Dataset:
    """Take the folds of a `splits_final.json` in the data set's folder, where there is one.

    Raises:
        DataError: it is damaged, or names cases that are not there, or one case on both sides.
    """
    path = dataset.root / FILE_NAME
    if not path.is_file():
        return dataset
    try:
        rows = _FOLDS.validate_json(path.read_bytes())
    except (ValidationError, OSError) as err:
        raise DataError(f'{FILE_NAME}: expected a list of {{"train": [...], "val": [...]}} with case ids') from err
    known = {case.case_id for case in dataset.training}
    for number, row in enumerate(rows):
        train, val = set(row.get("train", ())), set(row.get("val", ()))
        if unknown := sorted((train | val) - known):
            raise DataError(f"{FILE_NAME}: fold {number} names {unknown[0]!r}, which is no training case")
        if not train or not val or train & val:
            raise DataError(f"{FILE_NAME}: fold {number} needs cases in train and in val, and none in both")
    return replace(dataset, folds=tuple(Fold(tuple(row["train"]), tuple(row["val"])) for row in rows))


def require_disjoint(dataset: Dataset, overlap: Literal["refuse", "allow"]) -> None:
    """Refuse patients or sequences on both sides of a split, unless that is asked for.

    Raises:
        DataError: with numbers, never with ids.
    """
    crossing = crossing_units(dataset)
    if overlap == "refuse" and crossing:
        split, count = next(iter(crossing.items()))
        raise DataError(
            f"{dataset.root.name}: {count} patients or sequences are on both sides of {split}; scores would not be of "
            "unseen patients: split by group (mslaunet split), or allow it with data.group=case or --allow-overlap"
        )


def crossing_units(dataset: Dataset) -> dict[str, int]:
    """Number of patients or sequences on both sides, for every split of the data set where there are any."""
    unit = {case.case_id: case.patient_id for case in (*dataset.training, *dataset.testing)}
    sides = {"training and testing": (dataset.training, dataset.testing)}
    found = {name: len({c.patient_id for c in a} & {c.patient_id for c in b}) for name, (a, b) in sides.items()}
    for number, fold in enumerate(dataset.folds):
        found[f"fold {number}"] = len({unit[c] for c in fold.train} & {unit[c] for c in fold.val})
    return {name: count for name, count in found.items() if count}


def chosen_fold(dataset: Dataset, by: str, fold: int) -> Fold | None:
    """The data set's own fold that training shall use: with `by` "file", and with "auto" where it brings folds.

    Raises:
        ConfigError: the data set brings no fold of that number.
    """
    if by not in ("file", "auto") or (by == "auto" and not dataset.folds):
        return None
    if not 0 <= fold < len(dataset.folds):
        raise ConfigError(
            f"data.fold {fold}: the data set brings {len(dataset.folds)} folds; write some with: mslaunet split DATA"
        )
    return dataset.folds[fold]
