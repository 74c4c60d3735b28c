"""Layouts made of NIfTI files: our own manifest, MAMA-MIA, ODELIA and BreastDCEDL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.files import atomic_write
from ..data.manifest import Manifest, Row, write_manifest
from ..data.sheets import write_sheet
from ..data.study import SIDES
from ..phantom import Phantom, PhantomConfig
from .cohort import cohort, half, renamed, split_of, write_csv, write_nifti, write_truth


def write_plain(root: Path, cases: int, seed: int) -> None:
    """`manifest.csv` beside one folder per study, with masks of lesions and breasts."""
    rows, phantoms = [], cohort(cases, seed)
    for index, phantom in enumerate(phantoms):
        study = phantom.study
        folder = root / "studies" / study.study_id
        for k, phase in enumerate(study.phases):
            write_nifti(folder / f"phase_{k}.nii.gz", phase, study.affine)
        write_nifti(folder / "lesion.nii.gz", phantom.tissue["lesion"], study.affine)
        for side in SIDES:
            lesion = {"mask_path": f"studies/{study.study_id}/lesion.nii.gz"} if side == study.lesion_side else {}
            rows.append(
                Row(
                    study_id=study.study_id,
                    patient_id=study.patient_id,
                    site=study.site,
                    side=side,
                    phases=tuple(f"studies/{study.study_id}/phase_{k}.nii.gz" for k in range(len(study.phases))),
                    times_s=study.times_s,
                    label=study.labels[side],
                    label3=study.labels3[side],
                    split=split_of(index),
                    meta=dict(study.meta),
                    **lesion,
                )
            )
    write_manifest(Manifest(root, "manifest", tuple(rows)), root)
    write_truth(root, phantoms)


def write_mama_mia(root: Path, cases: int, seed: int) -> None:
    """Cancers only; the case of names differs between folders and files, times are text, JSON axes are turned."""
    names = [
        ("DUKE", "DUKE_{:03d}"),
        ("ISPY2", "ISPY2_{:06d}"),
        ("ISPY1", "ISPY1_{:04d}"),
        ("NACT", "NACT_{:02d}"),
    ]
    phantoms, table = [], []
    splits: dict[str, list[str]] = {"train": [], "test": []}
    for index, phantom in enumerate(cohort(cases, seed, kinds=["malignant"])):
        source, pattern = names[index % len(names)]
        pid = pattern.format(index + 1)
        phantom = renamed(phantom, pid, pid, source)
        phantoms.append(phantom)
        _write_mama_mia_case(root, phantom, phases=6 - index % 3)
        splits["test" if split_of(index) == "test" else "train"].append(pid)
        table.append(_mama_mia_record(phantom, source, 6 - index % 3))
    write_sheet(
        root / "clinical_and_imaging_info.xlsx",
        [list(table[0]), *[list(row.values()) for row in table]],
        sheet="dataset_info",
    )
    longest = max(map(len, splits.values()))
    padded = {name: ids + [""] * (longest - len(ids)) for name, ids in splits.items()}
    write_csv(
        root / "train_test_splits.csv",
        [{"train_split": a, "test_split": b} for a, b in zip(padded["train"], padded["test"], strict=True)],
    )
    write_truth(root, phantoms)


def _write_mama_mia_case(root: Path, phantom: Phantom, phases: int) -> None:
    study = phantom.study
    pid = study.patient_id
    for k in range(phases):
        write_nifti(root / "images" / pid / f"{pid.lower()}_{k:04d}.nii.gz", study.phases[k], study.affine)
    mask = phantom.tissue["lesion"]
    write_nifti(root / "segmentations" / "expert" / f"{pid.lower()}.nii.gz", mask, study.affine)
    breast = phantom.tissue[f"breast_{study.lesion_side}"][::-1, ::-1]  # file axes: left, back, head
    ends = [(int(a.min()), int(a.max()) + 1) for a in np.nonzero(breast)]
    coordinates: dict[str, int] = {}
    for axis, (low, high) in zip("zyx", ends, strict=True):  # x counts slices, z columns
        coordinates |= {f"{axis}_min": low, f"{axis}_max": high}
    info = {
        "patient_id": pid,
        "primary_lesion": {"pcr": 0, "tumor_subtype": "luminal", "breast_coordinates": coordinates},
        "clinical_data": {"age": 50, "menopausal_status": "post", "breast_density": "b"},
        "imaging_data": {"bilateral": True, "dataset": study.site, "site": study.site, "field_strength": 1.5},
    }
    path = root / "patient_info_files" / f"{pid.lower()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(info, indent=1))


def _mama_mia_record(phantom: Phantom, source: str, phases: int) -> dict[str, Any]:
    times = [int(t) for t in (phantom.study.times_s or ())[:phases]]
    return {
        "patient_id": phantom.study.patient_id,
        "dataset": source,
        "bilateral_breast_cancer": 0,
        "pcr": 0,
        "tumor_subtype": "luminal",
        "age": 50,
        "menopausal_status": "post",
        "view": "axial",
        "bilateral_mri": 1,
        "num_phases": phases,
        "pixel_spacing": "[4.0, 4.0]",
        "slice_thickness": 6.0,
        "site": source,
        "manufacturer": "phantom",
        "field_strength": 1.5,
        "acquisition_times": str(times),
    }


_CENTRES = ("RUMC", "UKA")


def odelia_breasts(cases: int, seed: int) -> tuple[list[Phantom], list[dict[str, Any]]]:
    """The phantoms, and per breast the columns of the organisers' tables and the images as int16 with an affine."""
    phantoms, breasts = [], []
    for index, phantom in enumerate(cohort(cases, seed)):
        uid = f"ODELIA_BRAID1_{index + 1:04d}_1"
        phantom = renamed(phantom, uid, f"{index + 1:04d}", _CENTRES[(index // 2) % 2])
        phantoms.append(phantom)
        for side in SIDES:
            phases, _, affine = half(phantom.study, side)
            phases = phases.astype(np.int16)
            images = {"Pre": phases[0], **{f"Post_{k}": phase for k, phase in enumerate(phases) if k}}
            difference = phases[1].astype(int) - phases[0]
            images["Sub_1"] = (difference - difference.min()).astype(
                np.int16
            )  # an offset of its own, as published
            images["T2"] = phases[0][::-1]
            breasts.append(
                {
                    "UID": f"{uid}_{side}",
                    "PatientID": phantom.study.patient_id,
                    "Age": 50,
                    "Lesion": phantom.study.labels3[side],
                    "Institution": phantom.study.site,
                    "Split": split_of(index),
                    "Fold": 0,
                    "images": images,
                    "affine": affine,
                }
            )
    return phantoms, breasts


def write_odelia(root: Path, cases: int, seed: int) -> None:
    """`<CENTRE>/data_unilateral/<UID>/*.nii.gz` with annotation and two folds; patient ids have leading zeros."""
    phantoms, breasts = odelia_breasts(cases, seed)
    for centre in _CENTRES:
        here = [b for b in breasts if b["Institution"] == centre]
        for breast in here:
            for name, image in breast["images"].items():
                path = root / centre / "data_unilateral" / breast["UID"] / f"{name}.nii.gz"
                write_nifti(path, image.astype(np.float32), breast["affine"], lps=False)
        if here:
            meta = root / centre / "metadata_unilateral"
            columns = ("UID", "PatientID", "Age", "Lesion")
            write_csv(meta / "annotation.csv", [{c: b[c] for c in columns} for b in here])
            folds = [{"UID": b["UID"], "Fold": 0, "Split": b["Split"]} for b in here]
            write_csv(meta / "split.csv", [*folds, *({**f, "Fold": 1, "Split": "train"} for f in folds)])
    write_truth(root, phantoms)


def write_odelia_hub(root: Path, cases: int, seed: int) -> None:
    """One parquet file per split with `Image_*` as (1, X, Y, Z) lists and `Affine_*`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    phantoms, breasts = odelia_breasts(cases, seed)
    for split in ("train", "val", "test"):
        rows = []
        for breast in (b for b in breasts if b["Split"] == split):
            row = {k: v for k, v in breast.items() if k not in ("images", "affine")}
            for name, image in breast["images"].items():
                row |= {f"Image_{name}": image[None].tolist(), f"Affine_{name}": breast["affine"].tolist()}
            rows.append(row)
        if rows:
            path = root / "unilateral" / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows), path)
    write_truth(root, phantoms)


def write_breastdcedl(root: Path, cases: int, seed: int) -> None:
    """Identity affines, slices first, cropped to the tumour's slices and two more; the last case is of Duke."""
    phantoms, table = [], []
    config = PhantomConfig(size=(64, 64, 16), spacing_mm=(4, 4, 4.5), tilt_deg=0)
    for index, phantom in enumerate(cohort(cases, seed, config, kinds=["malignant"])):
        duke = index == cases - 1 and cases > 1
        pid = f"Breast_MRI_{index + 1:03d}" if duke else f"ISPY2-{550421 + index}"
        phantom = renamed(phantom, pid, pid, "DUKE" if duke else "ISPY2")
        phantoms.append(phantom)
        table.append(_write_breastdcedl_case(root, phantom, duke, index))
    write_csv(root / "BreastDCEDL_metadata_min_crop.csv", table)
    write_truth(root, phantoms)


def _write_breastdcedl_case(root: Path, phantom: Phantom, duke: bool, index: int) -> dict[str, Any]:
    study, pid = phantom.study, phantom.study.patient_id
    enlarge = 4 if duke else 1  # boxes of Duke are given for 256 x 256 only
    lesion_z = np.nonzero(phantom.tissue["lesion"].any((0, 1)))[0]
    first, last = max(0, int(lesion_z[0]) - 2), min(study.shape[2] - 1, int(lesion_z[-1]) + 2)

    def stored(array: np.ndarray) -> np.ndarray:
        turned = array[::-1, ::-1, first : last + 1].transpose(
            2, 1, 0
        )  # slices, rows to the back, columns to the left
        return np.ascontiguousarray(turned.repeat(enlarge, 1).repeat(enlarge, 2))

    kind = "duke" if duke else "spy2"
    base = root / f"BreastDCEDL_{'DUKE' if duke else 'ISPY2'}_min_crop"
    for k, phase in enumerate(study.phases):
        path = base / ("crop_min_dce" if duke else "dce") / f"{pid}_{kind}_vis1_dce_aqc_{k}.nii.gz"
        write_nifti(path, stored(phase), np.eye(4), lps=False)
    mask = stored(phantom.tissue["lesion"])
    if not duke:
        write_nifti(base / "mask" / f"{pid}_spy2_vis1_mask.nii.gz", mask, np.eye(4), lps=False)
    _, rows, columns = np.nonzero(mask)
    box = {"sraw": rows.min(), "eraw": rows.max() + 1, "scol": columns.min(), "ecol": columns.max() + 1}
    return {
        "pid": pid,
        "dataset": phantom.study.site,
        "n_xy": mask.shape[1],
        "n_z": mask.shape[0],
        "n_times": len(study.phases),
        "pre": 0,
        "post_early": 2,
        "post_late": "" if index == 1 else len(study.phases) - 1,
        "slice_thick": study.spacing_mm[2],
        "xy_spacing": study.spacing_mm[0] / enlarge,
        "mask_start": int(lesion_z[0]),
        "mask_end": int(lesion_z[-1]),
        "pCR": index % 2,
        "tum_vol": int(mask.sum()),
        "test": {"train": 0, "test": 1, "val": 2}[split_of(index)],
        **{name: int(value) if duke else "" for name, value in box.items()},
    }
