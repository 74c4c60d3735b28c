"""Any layout -> one documented form: nnU-Net raw, with hashes, patients and splits beside it.

The form is `dataset.json`, `imagesTr/<case>_0000.*`, `labelsTr/<case>.*`, `imagesTs/`, `labelsTs/` (NIfTI for volumes,
PNG for 2-D images), `patients.csv` where cases share patients, `splits_final.json` where the layout brings a
validation part, and `mslaunet.json` (see `data.manifest`). nnU-Net reads it too. Headers are written anew, so no text
of the sources comes along.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ._shared.errors import ConfigError, DataError
from ._shared.files import atomic_write, require_writable_dir, sha256_file
from ._shared.io.images import write_png
from ._shared.io.volumes import write_volume
from ._shared.logs import get_logger, progress
from .data.dataset import Case, Dataset, Fold, Layout, open_dataset
from .data.labels import LabelMapName, require_liver_largest
from .data.loading import LoadedCase, load_case_of, slices_last
from .data.manifest import FILE_NAME, JOURNAL, CaseRecord, FileRecord, Manifest, write_manifest
from .data.patients import FILE_NAME as PATIENTS_FILE
from .data.splits import build_folds, write_folds

log = get_logger(__name__)

_REGROUP_PARTS = 5  # one part in five becomes the new test part


@dataclass(frozen=True)
class PrepareResult:
    """What was written; `kept` cases were there from an interrupted run."""

    manifest: Manifest
    kept: int


def prepare_dataset(
    layout: Layout,
    source: Path,
    target: Path,
    *,
    label_map: LabelMapName | None = None,
    regroup: bool = False,
    allow_overlap: bool = False,
    max_excluded_fraction: float = 0.05,
    seed: int = 0,
    resume: bool = False,
    quiet: bool = False,
) -> PrepareResult:
    """Convert a data set of any layout; safe to kill and to resume.

    Args:
        layout: the layout of `source`, or "auto".
        source: the data set's folder; only read.
        target: an empty or new folder.
        label_map: which numbers mean which organs, for Synapse and BTCV.
        regroup: ignore the layout's own test part and draw a new one, a fifth of the patients or sequences.
        allow_overlap: keep the layout's own parts although patients or sequences are on both sides.
        max_excluded_fraction: unreadable cases tolerated; they are listed with their reasons.
        seed: decides the parts of `regroup`.
        resume: go on where an interrupted call stopped.
        quiet: no progress.

    Raises:
        ConfigError: `target` is in use, lies inside `source`, or was begun with other settings.
        DataError: the data set or too many of its cases cannot be used.
        ResourceError: `target` cannot be written.
    """
    overlap = "allow" if regroup or allow_overlap else "refuse"
    dataset = open_dataset(source, layout, label_map=label_map, overlap=overlap)  # type: ignore[arg-type]
    if regroup:
        dataset = _regrouped(dataset, seed)
    plan = {"layout": dataset.layout, "label_map": label_map, "regroup": regroup, "seed": seed if regroup else 0}
    _begin(target, source, json.dumps(plan, sort_keys=True), resume=resume)
    records, excluded, kept = _convert(dataset, target, quiet=quiet)
    if not any(r.part == "training" for r in records) or len(excluded) > max_excluded_fraction * (
        len(records) + len(excluded)
    ):
        first = next(iter(excluded.values()), "none is for training")
        raise DataError(
            f"{len(excluded)} of {len(records) + len(excluded)} cases are unusable; the first: {first}"
        )
    _require_anatomy(dataset, records)
    manifest = Manifest(
        layout=dataset.layout,
        label_map=label_map,
        labels=dataset.labels,
        spacing_known=dataset.spacing_known,
        warnings=dataset.warnings,
        cases=records,
        excluded=excluded,
    )
    _finish(dataset, manifest, target)
    return PrepareResult(manifest, kept)


def _regrouped(dataset: Dataset, seed: int) -> Dataset:
    cases = [case for case in (*dataset.training, *dataset.testing) if case.has_mask]
    units = {case.case_id: case.patient_id for case in cases}
    parts = min(_REGROUP_PARTS, len(set(units.values())))
    if parts < 2:
        raise DataError(f"{dataset.root.name}: one patient or sequence only; a test part needs two")
    kept = set(build_folds(units, dict.fromkeys(units, ""), folds=parts, seed=seed)[0].val)
    warning = f"the test part was drawn by patient or sequence (seed {seed}); it is not an official one"
    return replace(
        dataset,
        training=tuple(case for case in cases if case.case_id not in kept),
        testing=tuple(case for case in cases if case.case_id in kept),
        folds=(),
        warnings=(*dataset.warnings, warning),
    )


def _begin(target: Path, source: Path, plan: str, *, resume: bool) -> None:
    if target.resolve() == source.resolve() or source.resolve() in target.resolve().parents:
        raise ConfigError(f"{target.name}: lies in the source folder; choose a place outside of it")
    require_writable_dir(target)
    journal = target / JOURNAL
    if any(target.iterdir()):
        if not resume:
            raise ConfigError(f"{target.name}: not empty; choose another folder, or go on with --resume")
        begun = journal / "plan.json"
        if not begun.is_file():
            state = "is finished" if (target / FILE_NAME).is_file() else "holds no interrupted preparation"
            raise ConfigError(f"{target.name}: {state}; choose another folder")
        if begun.read_text(encoding="utf-8") != plan:
            raise ConfigError(
                f"{target.name}: was begun with another layout or other options; choose another folder"
            )
        return
    journal.mkdir()
    atomic_write(journal / "plan.json", plan)


def _convert(dataset: Dataset, target: Path, *, quiet: bool) -> tuple[list[CaseRecord], dict[str, str], int]:
    records: list[CaseRecord] = []
    excluded: dict[str, str] = {}
    kept = 0
    work = [("training", case) for case in dataset.training] + [("testing", case) for case in dataset.testing]
    with progress(len(work), "preparing cases", quiet=quiet) as bar:
        for number, (part, case) in enumerate(work):
            journal = target / JOURNAL / f"{number:06d}.json"
            try:
                record = _journalled(journal, case, part, target)
                kept += record is not None
                if record is None:
                    record = _write_case(case, part, dataset, target)
                    atomic_write(journal, record.model_dump_json())
                records.append(record)
            except DataError as err:
                excluded[case.case_id] = str(err)
                log.warning("excluded: %s", err)
            bar.update()
    return records, excluded, kept


def _journalled(journal: Path, case: Case, part: str, target: Path) -> CaseRecord | None:
    """The record of an earlier call, where its sources and its files are what they were."""
    if not journal.is_file():
        return None
    record = CaseRecord.model_validate_json(journal.read_bytes())
    same = (record.case_id, record.part, record.reading) == (case.case_id, part, case.reading)
    files = same and all(
        (target / f.name).is_file() and sha256_file(target / f.name) == f.sha256 for f in record.files
    )
    return record if files and _hashes(case.files) == record.sources else None


def _write_case(case: Case, part: str, dataset: Dataset, target: Path) -> CaseRecord:
    loaded = load_case_of(dataset, case)
    if part == "training" and loaded.mask is None:
        raise DataError(f"{case.images[0].name}: a training case needs a mask")
    suffix = "Tr" if part == "training" else "Ts"
    stem, ending = Path(f"images{suffix}") / case.case_id, ".nii.gz" if case.is_volume else ".png"
    names = _write_image(target, stem, loaded, single=len(case.images) == 1 or case.is_volume)
    voxels: dict[int, int] = {}
    if loaded.mask is not None:
        names.append(Path(f"labels{suffix}") / f"{case.case_id}{ending}")
        _write_plane_or_volume(target / names[-1], loaded.mask, loaded, integers=True)
        ids, counts = np.unique(loaded.mask, return_counts=True)
        voxels = {int(i): int(n) for i, n in zip(ids, counts, strict=True)}
    depth, height, width = loaded.image.shape[1:]
    return CaseRecord(
        case_id=case.case_id,
        part="training" if part == "training" else "testing",
        reading=case.reading,
        sources=_hashes(case.files),
        files=[FileRecord(name=name.as_posix(), sha256=sha256_file(target / name)) for name in names],
        shape=(depth, height, width),
        spacing_mm=loaded.spacing_mm,
        label_voxels=voxels,
        ambiguous_pixels=loaded.ambiguous_pixels,
    )


def _hashes(paths: Sequence[Path]) -> list[FileRecord]:
    try:
        return [FileRecord(name=path.name, sha256=sha256_file(path)) for path in paths]
    except OSError as err:
        raise DataError(f"{Path(err.filename or '').name}: cannot be read ({err.strerror})") from err


def _write_image(target: Path, stem: Path, loaded: LoadedCase, *, single: bool) -> list[Path]:
    """One file per channel, or one PNG for an RGB picture."""
    if loaded.volume is None and single and len(loaded.image) == 3:
        name = stem.with_name(f"{stem.name}_0000.png")
        write_png(target / name, np.ascontiguousarray(_pixels(loaded.image[:, 0]).transpose(1, 2, 0)))
        return [name]
    names = []
    for number, channel in enumerate(loaded.image):
        ending = ".png" if loaded.volume is None else ".nii.gz"
        names.append(stem.with_name(f"{stem.name}_{number:04d}{ending}"))
        _write_plane_or_volume(target / names[-1], channel, loaded, integers=False)
    return names


def _write_plane_or_volume(path: Path, array: np.ndarray, loaded: LoadedCase, *, integers: bool) -> None:
    """(D, H, W) as NIfTI on the case's grid, or as PNG."""
    if loaded.volume is None:
        write_png(path, _smallest(array[0]) if integers else _pixels(array[0]))
        return
    stored = slices_last(array)
    dtype = _smallest(stored).dtype if integers else _scan_type(stored)
    write_volume(path, stored, like=loaded.volume, dtype=dtype)


def _pixels(image: np.ndarray) -> np.ndarray:
    """[0, 1] -> the 8-bit or 16-bit values that the picture had."""
    eight = image * 255
    if np.abs(eight - np.rint(eight)).max() < 1e-3:
        return np.rint(eight).astype(np.uint8)
    return np.rint(image.astype(np.float64) * 65535).astype(np.uint16)


def _smallest(labels: np.ndarray) -> np.ndarray:
    return labels.astype(np.uint8 if labels.max(initial=0) < 256 else np.uint16)


def _scan_type(image: np.ndarray) -> type[np.generic]:
    """int16 where nothing is lost."""
    whole = image.min() >= -32768 and image.max() <= 32767 and bool((image == np.rint(image)).all())
    return np.int16 if whole else np.float32


def _require_anatomy(dataset: Dataset, records: Sequence[CaseRecord]) -> None:
    volumes: dict[int, float] = {}
    for record in records:
        millilitres = float(np.prod(record.spacing_mm)) / 1000
        for label, voxels in record.label_voxels.items():
            volumes[label] = volumes.get(label, 0) + voxels * millilitres
    require_liver_largest(volumes, dataset.classes, dataset.root.name)


def _finish(dataset: Dataset, manifest: Manifest, target: Path) -> None:
    """What makes the folder a data set comes last, so that an interrupted one is none."""
    training = [record.case_id for record in manifest.cases if record.part == "training"]
    unit = {case.case_id: case.patient_id for case in (*dataset.training, *dataset.testing)}
    used = [record.case_id for record in manifest.cases]
    if any(unit[name] != name for name in used):
        rows = [f"{name},{unit[name]}" for name in used]
        atomic_write(target / PATIENTS_FILE, "\n".join(["case_id,patient_id", *rows]) + "\n")
    there = set(training)
    folds = [
        Fold(tuple(n for n in f.train if n in there), tuple(n for n in f.val if n in there)) for f in dataset.folds
    ]
    if folds and all(fold.train and fold.val for fold in folds):
        write_folds(target, folds)
    ending = ".nii.gz" if manifest.cases[0].files[0].name.endswith(".nii.gz") else ".png"
    header = {
        "channel_names": {str(i): name for i, name in enumerate(dataset.channels)},
        "labels": {name: label for label, name in dataset.classes.items()},
        "numTraining": len(training),
        "file_ending": ending,
    }
    write_manifest(target, manifest)
    atomic_write(target / "dataset.json", json.dumps(header, indent=1, ensure_ascii=False) + "\n")
    for path in sorted((target / JOURNAL).iterdir()):
        path.unlink()
    (target / JOURNAL).rmdir()
