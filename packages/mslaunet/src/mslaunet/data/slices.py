"""Training slices: every case is prepared once, kept as arrays on disk and read through memory maps."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._shared.errors import DataError
from .._shared.files import atomic_path, sha256_file
from .._shared.logs import get_logger, progress
from ..preprocess import Preprocessing
from .dataset import Case, Dataset, Fold
from .loading import LoadedCase, load_case

log = get_logger(__name__)


@dataclass(frozen=True)
class PreparedCase:
    """A case on the network's grid: memory-mapped image (C, D, H, W) in [-1, 1] and mask (D, H, W).

    `spacing_mm` (D, H, W) is that of the network's grid; ones where the unit is the native pixel.
    """

    case_id: str
    sha256: str
    image: np.ndarray
    mask: np.ndarray
    patient_id: str
    spacing_mm: tuple[float, ...] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class PreparedCases:
    """All usable cases, and why the others were left out."""

    cases: tuple[PreparedCase, ...]
    excluded: dict[str, str]


def prepare_cases(
    dataset: Dataset, plan: Preprocessing, cache: Path, *, max_excluded_fraction: float, quiet: bool = False
) -> PreparedCases:
    """Bring every training case to the network's grid, once; a second call reads the cache.

    A case that cannot be read is left out with its reason, unless more than `max_excluded_fraction` of them fail.

    Raises:
        DataError: too many cases cannot be read (or the only one).
    """
    cache.mkdir(parents=True, exist_ok=True)
    prepared: list[PreparedCase] = []
    excluded: dict[str, str] = {}
    with progress(len(dataset.training), "preparing cases", quiet=quiet) as bar:
        for case in dataset.training:
            try:
                prepared.append(_prepare_case(case, dataset, plan, cache))
            except DataError as err:
                excluded[case.case_id] = str(err)
                log.warning("excluded: %s", err)
            bar.update()
    if not prepared or len(excluded) > max_excluded_fraction * len(dataset.training):
        first = next(iter(excluded.values()))
        raise DataError(
            f"{len(excluded)} of {len(dataset.training)} training cases are unusable; the first: {first}"
        )
    return PreparedCases(tuple(prepared), excluded)


def prepare_arrays(loaded: LoadedCase, plan: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """Bring a loaded case with a mask to the network's grid: image (C, D, H, W) float32, mask (D, H, W)."""
    if loaded.mask is None:
        raise DataError("a training case needs a mask")
    size = plan.plane_size(loaded.mask.shape[1:], loaded.spacing_mm[1:])
    return plan.resize_image(plan.normalise(loaded.image), size), plan.resize_mask(loaded.mask, size)


def _prepare_case(case: Case, dataset: Dataset, plan: Preprocessing, cache: Path) -> PreparedCase:
    if not case.has_mask:
        raise DataError(f"{case.images[0].name}: a training case needs a mask")
    digest = hashlib.sha256((plan.model_dump_json() + case.reading).encode())
    for path in case.files:
        digest.update(sha256_file(path).encode())
    sha256 = digest.hexdigest()
    paths = image_path, mask_path, spacing_path = [
        cache / f"{sha256[:24]}-{part}.npy" for part in ("image", "mask", "spacing")
    ]
    if not all(path.exists() for path in paths):
        loaded = load_case(
            case, num_channels=plan.num_channels, num_classes=len(dataset.classes), mask_values=dataset.mask_values
        )
        plan.require_kind(loaded.image, case.images[0].name, is_volume=case.is_volume)
        image, mask = prepare_arrays(loaded, plan)
        spacing = np.array(loaded.spacing_mm) * loaded.image.shape[1:] / np.array(mask.shape)
        for path, array in zip(paths, (image, mask.astype(np.uint16), spacing), strict=True):
            with atomic_path(path) as temporary:
                np.save(temporary, array, allow_pickle=False)
    return PreparedCase(
        case.case_id,
        sha256,
        np.load(image_path, mmap_mode="r"),
        np.load(mask_path, mmap_mode="r"),
        case.patient_id,
        tuple(np.load(spacing_path).tolist()),
    )


@dataclass(frozen=True)
class SliceSplit:
    """Indices (case, slice) for training and validation, and how they were split."""

    train: tuple[tuple[int, int], ...]
    validation: tuple[tuple[int, int], ...]
    by: str


def split_slices(
    cases: Sequence[PreparedCase],
    *,
    by: str,
    fraction: float,
    block: int,
    seed: int,
    folds: int | None = None,
    fold: int = 0,
    group: str = "patient",
    given: Fold | None = None,
) -> SliceSplit:
    """Keep a part for validation: whole cases, or blocks of neighbouring slices where patients are too few.

    All cases of a patient go to one side when whole cases are kept.

    Blocks are the weak choice: slices of one patient resemble each other, so the score shows fitting, not
    generalisation. One slice on either side of a held-out block is used by nobody.

    Args:
        cases: the prepared cases.
        by: "cases", "slices", "auto" (cases, from five patients on or for pictures) or "none" (all is for training).
        fraction: part of the patients, or of the slices, kept for validation, in (0, 1).
        block: slices per held-out block.
        seed: decides which patients are kept.
        folds: cross-validation: cut the patients into so many parts, instead of keeping a fraction.
        fold: cross-validation: the part kept.
        group: "patient", or "case" to let the cases of a patient fall on both sides.
        given: ids of a fold that the data set brings along; it decides, whatever `by` says.

    Raises:
        DataError: nothing is left for training or for validation.
    """
    units = [case.case_id if group == "case" else case.patient_id for case in cases]
    patients = len(set(units))
    if given is not None:
        return _by_fold(cases, given)
    if by == "none":
        return SliceSplit(_all_slices(cases), (), "none")
    if by == "auto":
        single = all(case.mask.shape[0] == 1 for case in cases)  # a picture has no blocks of slices
        by = "cases" if folds or patients >= 5 or (single and patients >= 2) else "slices"
    if by == "cases":
        split = _by_cases(cases, units, _kept_units(units, fraction, seed, folds, fold))
    else:
        split = _by_slices(cases, fraction, block)
    if not split.train or not split.validation:
        raise DataError(
            f"split by {by}: {len(split.train)} training and {len(split.validation)} validation slices from "
            f"{len(cases)} cases of {patients} patients; add patients, or change data.split, "
            "data.validation_fraction or data.block_slices"
        )
    return split


def _kept_units(units: Sequence[str], fraction: float, seed: int, folds: int | None, fold: int) -> set[str]:
    """Patients of the validation part: the first of a permutation that the seed decides, or every folds-th of it."""
    names = list(dict.fromkeys(units))
    order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(names))
    kept = order[: max(1, round(len(names) * fraction))] if folds is None else order[fold::folds]
    return {names[i] for i in kept}


def _all_slices(cases: Sequence[PreparedCase]) -> tuple[tuple[int, int], ...]:
    return tuple((c, z) for c, case in enumerate(cases) for z in range(case.mask.shape[0]))


def _by_cases(cases: Sequence[PreparedCase], units: Sequence[str], kept: set[str]) -> SliceSplit:
    pairs = _all_slices(cases)
    train = tuple(pair for pair in pairs if units[pair[0]] not in kept)
    return SliceSplit(train, tuple(pair for pair in pairs if units[pair[0]] in kept), "cases")


def _by_fold(cases: Sequence[PreparedCase], fold: Fold) -> SliceSplit:
    pairs = _all_slices(cases)
    train, val = (
        tuple(pair for pair in pairs if cases[pair[0]].case_id in ids) for ids in (set(fold.train), set(fold.val))
    )
    if not train or not val:
        raise DataError(f"the data set's fold leaves {len(train)} training and {len(val)} validation slices")
    return SliceSplit(train, val, "file")


def _by_slices(cases: Sequence[PreparedCase], fraction: float, block: int) -> SliceSplit:
    every = max(2, round(1 / fraction))
    train, validation = [], []
    for c, case in enumerate(cases):
        held_out = {z for z in range(case.mask.shape[0]) if (z // block) % every == every // 2}
        for z in range(case.mask.shape[0]):
            if z in held_out:
                validation.append((c, z))
            elif not {z - 1, z + 1} & held_out:
                train.append((c, z))
    return SliceSplit(tuple(train), tuple(validation), "slices")
