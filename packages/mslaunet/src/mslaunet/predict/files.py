"""Cases in, one mask per case in a folder out, with what is known about each in `predictions.json`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .._shared.errors import ConfigError, DataError
from .._shared.files import atomic_write, require_writable_dir
from .._shared.logs import get_logger, progress
from .._shared.strict_json import to_json
from ..data.dataset import Case
from ..data.loading import LoadedCase, load_case, slices_last
from ..predictions import PROBABILITIES, RECORD, UNCERTAINTY, map_path, read_record
from .dicom_seg import write_dicom_seg
from .options import MapName
from .predictor import Predictor, ProbabilitySink, Segmentation
from .writers import write_map, write_mask

log = get_logger(__name__)

Format = Literal["auto", "dicom-seg"]


def predict_files(
    predictor: Predictor,
    cases: Sequence[Case],
    out: Path,
    *,
    resume: bool = False,
    quiet: bool = False,
    maps: Sequence[MapName] = (),
    probabilities: bool = False,
    output_format: Format = "auto",
) -> list[Path]:
    """Write one mask per case into `out`, on the grid and affine of its image; return the paths.

    Volumes become `<case>.nii.gz`, or a DICOM SEG `<case>.dcm` of a DICOM series; 2-D images become `<case>.png` with
    label ids, or 0 and 255 after training on binary masks. Each file is written atomically, read back, and compared
    with what was predicted. `predictions.json` says of each case the expected Dice of every class, the peak memory and
    the time.

    Args:
        predictor: the networks.
        cases: the inputs.
        out: folder for the masks.
        resume: keep the masks that are there, make the others.
        quiet: no progress.
        maps: uncertainty maps to write into `out/uncertainty/`.
        probabilities: write one map per class into `out/probabilities/`.
        output_format: "auto", or "dicom-seg" for cases that are DICOM series.

    Raises:
        ConfigError: an output exists and `resume` is off, or a SEG is asked for of something else than a DICOM series.
        DataError: an input cannot be read, or a mask does not come back on the image's grid.
        ResourceError: the output cannot be written, or one slice does not fit the memory.
    """
    if output_format == "dicom-seg" and (other := [case for case in cases if case.storage != "dicom"]):
        raise ConfigError(f"{other[0].images[0].name}: a DICOM SEG refers to a DICOM series, and this is none")
    require_writable_dir(out)
    ending = {case.case_id: ".dcm" if output_format == "dicom-seg" else _suffix(case) for case in cases}
    targets = {case.case_id: out / f"{case.case_id}{ending[case.case_id]}" for case in cases}
    if len(targets) < len(cases):
        raise DataError(
            f"{len(cases)} inputs give only {len(targets)} output names; keep names unique without suffix"
        )
    existing = [p for p in targets.values() if p.exists()]
    if existing and not resume:
        raise ConfigError(
            f"{existing[0].name}: exists already; --resume keeps finished masks, or choose another --out"
        )
    records = read_record(out) if resume else {}
    missing = [case for case in cases if not targets[case.case_id].exists()]
    volumes = any(case.is_volume for case in missing)
    with progress(len(missing), "predicting", quiet=quiet or volumes) as bar:
        for number, case in enumerate(missing, start=1):
            title = f"case {number} of {len(missing)}, slices"
            records[case.case_id] = _predict_case(
                predictor,
                case,
                targets[case.case_id],
                maps=maps,
                probabilities=probabilities,
                title="" if quiet or not volumes else title,
            )
            atomic_write(out / RECORD, to_json({"cases": records}, indent=2) + "\n")
            bar.update()
    return list(targets.values())


def wanted_maps(predictor: Predictor) -> tuple[MapName, ...]:
    """The uncertainty maps that a predictor can give: disagreement needs several answers."""
    single: tuple[MapName, ...] = ("confidence", "entropy")
    return (*single, "mutual_information", "variance") if predictor.members > 1 else single


def describe_run(
    paths: Sequence[Path], predictor: Predictor, records: Mapping[str, Any]
) -> tuple[dict[str, Any], str]:
    """What `predict` prints: masks, classes, what was applied, and the peak memory; as JSON values and as text."""
    steps = {} if predictor.postprocessing is None else predictor.postprocessing.model_dump()["steps"]
    result = {
        "masks": [str(p) for p in paths],
        "classes": {str(label): name for label, name in predictor.classes.items()},
        "members": predictor.members,
        "postprocessing": {predictor.classes[label]: step for label, step in steps.items()},
        "cases": dict(records),
    }
    lines = [str(p) for p in paths]
    if done := [record for record in records.values() if record.get("peak_gb")]:
        peak = max(done, key=lambda record: record["peak_gb"])
        lines.append(f"peak memory {peak['peak_gb']:.2f} GB, estimated before {peak['estimated_gb']:.2f} GB")
    return result, "\n".join(lines)


def _suffix(case: Case) -> str:
    return ".nii.gz" if case.is_volume else ".png"


def _predict_case(
    predictor: Predictor, case: Case, target: Path, *, maps: Sequence[MapName], probabilities: bool, title: str
) -> dict[str, Any]:
    """Predict one case and write its files; `title` heads the progress over slices, none if empty."""
    started = time.monotonic()
    loaded = load_case(case, num_channels=predictor.plan.num_channels, num_classes=len(predictor.classes))
    predictor.plan.require_kind(loaded.image, case.images[0].name, is_volume=case.is_volume)
    with (
        _probability_sink(target.parent, case.case_id, predictor, loaded, wanted=probabilities) as sink,
        progress(loaded.image.shape[1], title, quiet=not title) as bar,
    ):
        result = predictor.segment(loaded, maps=maps, probabilities=sink, advance=bar.update)
        for name, values in result.maps.items():
            require_writable_dir(target.parent / UNCERTAINTY)
            write_map(map_path(target.parent, case.case_id, name, _suffix(case)), values, loaded)
    if target.suffix == ".dcm" and loaded.volume is not None:  # the mask comes last: it marks the case as done
        write_dicom_seg(target, slices_last(result.labels), loaded.volume, case.images, predictor.classes)
    else:
        write_mask(target, result.labels, loaded, predictor.mask_values)
    return _describe(result, predictor, time.monotonic() - started)


def _describe(result: Segmentation, predictor: Predictor, seconds: float) -> dict[str, Any]:
    dice = {predictor.classes[label]: value for label, value in result.predicted_dice.items()}
    return {
        "predicted_dice": dice,
        "mean_predicted_dice": float(np.mean(list(dice.values()))) if dice else float("nan"),
        "estimated_gb": round(result.estimated_bytes / 1e9, 3),
        "peak_gb": round(result.peak_bytes / 1e9, 3),
        "seconds": round(seconds, 3),
    }


@contextmanager
def _probability_sink(
    out: Path, case_id: str, predictor: Predictor, loaded: LoadedCase, *, wanted: bool
) -> Iterator[ProbabilitySink | None]:
    """Collect slabs of probabilities on the disk, then write one map per class; memory holds one class at a time."""
    if not wanted:
        yield None
        return
    folder = require_writable_dir(out / PROBABILITIES)
    scratch = folder / f".tmp-{case_id}.npy"
    shape = (len(predictor.classes), *loaded.image.shape[1:])
    try:
        store = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.float16, shape=shape)

        def keep(start: int, probs: np.ndarray) -> None:
            store[:, start : start + len(probs)] = probs.transpose(1, 0, 2, 3)

        yield keep
        digits = len(str(len(predictor.classes) - 1))
        for label in predictor.classes:
            name = f"{case_id}_class{label:0{digits}d}{'.png' if loaded.volume is None else '.nii.gz'}"
            write_map(folder / name, np.asarray(store[label], np.float32), loaded)
    finally:
        scratch.unlink(missing_ok=True)
