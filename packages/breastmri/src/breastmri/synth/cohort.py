"""Which phantoms a data set holds, and files that several layouts write."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .._shared.files import atomic_write
from .._shared.io.volumes import Volume, new_volume, write_volume
from ..data.manifest import TRUTH
from ..data.study import Side, Study
from ..phantom import LesionKind, Phantom, PhantomConfig, make_phantom

_SPLITS = ("train", "train", "train", "val", "test")


def split_of(index: int) -> str:
    """Train, validation or test, such that neighbours of different kinds share a part."""
    return _SPLITS[(index // 2) % len(_SPLITS)]


def kind_of(index: int) -> LesionKind:
    """Malignant for even numbers, benign and none in turn for odd ones."""
    return "malignant" if index % 2 == 0 else ("benign", "none")[(index // 2) % 2]


def side_of(index: int) -> Side:
    """The breast of the lesion; every split has both."""
    return "left" if (index // 2 + index) % 2 == 0 else "right"


def cohort(
    cases: int, seed: int, config: PhantomConfig | None = None, kinds: Sequence[LesionKind] = ()
) -> list[Phantom]:
    """Phantoms whose kind and side follow from their number; `kinds` are taken in turn where given."""
    return [
        make_phantom(
            i, seed=seed, config=config, kind=kinds[i % len(kinds)] if kinds else kind_of(i), side=side_of(i)
        )
        for i in range(cases)
    ]


def renamed(phantom: Phantom, study_id: str, patient_id: str, site: str | None = None) -> Phantom:
    """The phantom under other identifiers."""
    site = phantom.study.site if site is None else site
    study = replace(phantom.study, study_id=study_id, patient_id=patient_id, site=site)
    return replace(phantom, study=study)


def write_truth(root: Path, phantoms: Sequence[Phantom], **more: Any) -> None:
    """`truth.json`: what is true about every study."""
    studies = [phantom.truth() for phantom in phantoms]
    atomic_write(root / TRUTH, json.dumps({"studies": studies, **more}, indent=1) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table with the columns of its first row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(path, stream.getvalue())


def as_lps(array: np.ndarray, affine: np.ndarray) -> Volume:
    """A volume (X, Y, Z) in RAS as it would lie in a file with axes to the left, the back and the head."""
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    flip[:2, 3] = np.array(array.shape[:2]) - 1
    return new_volume(np.ascontiguousarray(array[::-1, ::-1]), affine @ flip)


def write_nifti(path: Path, array: np.ndarray, affine: np.ndarray, *, lps: bool = True) -> None:
    """Phases as uint16, masks as uint8."""
    volume = as_lps(array, affine) if lps else new_volume(array, affine)
    kind = np.uint8 if array.dtype in (bool, np.uint8) else np.uint16
    write_volume(path, volume.array, like=volume, dtype=kind)


def half(study: Study, side: Side) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Phases, lesion mask and affine of one half of a volume."""
    middle = study.shape[0] // 2
    part = slice(0, middle) if side == "left" else slice(middle, None)
    affine = study.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (0 if side == "left" else middle)
    mask = np.zeros(study.shape, bool) if study.lesion_mask is None else study.lesion_mask
    return study.phases[:, part], mask[part], affine
