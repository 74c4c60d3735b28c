"""The layout of BreastDM: 2-D slices without geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .._shared.io.images import write_png
from ..phantom import TIMES_S, PhantomConfig
from .cohort import cohort, renamed, split_of, write_truth


def write_breastdm(root: Path, cases: int, seed: int) -> None:
    """`seg/<split>/{images,labels}/<patient>/<phase>/p-NNN.png`; the first training patient is repeated in test."""
    phantoms = []
    for index, phantom in enumerate(
        cohort(cases, seed, PhantomConfig(times_s=TIMES_S[:4]), ["malignant", "benign"])
    ):
        name = f"BreaDM-{'Ma' if phantom.kind == 'malignant' else 'Be'}-{1801 + index}"
        phantom = renamed(phantom, name, name, "breastdm")
        phantoms.append(phantom)
        study = phantom.study
        for split in {split_of(index), *(("test",) if index == 0 else ())}:
            for k, phase in enumerate(study.phases):
                sequence = "VIBRANT" if k == 0 else f"VIBRANT+C{k}"
                _write_slices(root / "seg" / split / "images" / name / sequence, phase / 4)
                if k:
                    difference = (phase - study.phases[0]).clip(0) / 4
                    _write_slices(root / "seg" / split / "images" / name / f"SUB{k}", difference)
            mask = phantom.tissue["lesion"] * 255.0
            _write_slices(root / "seg" / split / "labels" / name / "VIBRANT+C1", mask)
    write_truth(root, phantoms)


def _write_slices(folder: Path, array: np.ndarray) -> None:
    for z in range(array.shape[2]):
        plane = array[::-1, ::-1, z].T.clip(0, 255).astype(np.uint8)
        write_png(folder / f"p-{z + 1:03d}.png", np.ascontiguousarray(plane))
