"""Two thousand damaged examinations: a study with finite voxels, or one line; never a trace."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from breastmri._shared.errors import QuartetError
from breastmri._shared.io.dicom_write import synthetic_uid
from breastmri.phantom import PhantomConfig, make_phantom
from breastmri.predict.examination import open_examination
from breastmri.synth.cohort import write_nifti
from breastmri.synth.dicom_layouts import write_dicom_phase

STUDY = make_phantom(0, config=PhantomConfig(size=(12, 10, 10), times_s=(0, 90)), kind="malignant").study
TIMES = 1000  # of each format


def mutations(data: bytes, count: int, header: int, seed: int) -> Iterator[bytes]:
    """Flipped bytes (mostly in the header), cut, doubled, emptied and swapped parts."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        broken = bytearray(data)
        kind = number % 8
        if kind < 4:
            for at in rng.integers(0, header if kind < 3 else len(data), int(rng.integers(1, 9))):
                broken[at] = rng.integers(256)
        elif kind == 4:
            del broken[int(rng.integers(len(data))) :]
        elif kind == 5:
            start = int(rng.integers(len(data) - 8))
            del broken[start : start + int(rng.integers(1, 64))]
        elif kind == 6:
            start = int(rng.integers(len(data)))
            broken[start:start] = broken[: int(rng.integers(1, 200))]
        else:
            start = int(rng.integers(header))
            broken[start : start + 8] = bytes([int(rng.choice([0, 255]))]) * 8
        yield bytes(broken)


def outcome(folder: Path) -> str:
    """ "read" or "refused"; anything else is a failure of the test."""
    try:
        study = open_examination(folder).study
    except QuartetError as err:
        assert "\n" not in str(err)  # noqa: PT017
        return "refused"
    assert np.isfinite(study.phases).all()
    assert np.isfinite(study.affine).all()
    return "read"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("packed", [True, False], ids=["gz", "nii"])
def test_mutated_nifti_files(tmp_path: Path, packed: bool) -> None:
    for k, phase in enumerate(STUDY.phases):
        write_nifti(tmp_path / f"p{k}.nii.gz", phase, STUDY.affine)
    path = tmp_path / "p1.nii.gz"
    plain = gzip.decompress(path.read_bytes())
    source = path.read_bytes() if packed else plain
    results = []
    for broken in mutations(source, TIMES // 2, min(352, len(source)), seed=packed):
        path.write_bytes(broken)
        results.append(outcome(tmp_path))
    assert results.count("refused") > 100
    if not packed:
        assert results.count("read") > 50


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mutated_dicom_files(tmp_path: Path) -> None:
    for phase in range(2):
        files = write_dicom_phase(
            tmp_path / str(phase), STUDY, phase, series_uid=synthetic_uid(phase), study_uid=synthetic_uid("s")
        )
    source = files[4].read_bytes()
    results = []
    for broken in mutations(source, TIMES, len(source) - 240, seed=2):
        files[4].write_bytes(broken)
        results.append(outcome(tmp_path))
    assert results.count("refused") > 100
    assert results.count("read") > 50
