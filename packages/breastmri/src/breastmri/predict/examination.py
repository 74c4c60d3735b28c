"""What a user points at -> a study and the grid that outputs are written on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from .._shared.errors import ConfigError, DataError
from .._shared.io.volumes import Volume, read_labels, read_volume, require_same_grid
from ..data.dynamic import find_dynamic
from ..data.opening import open_data
from ..data.reading import load_rows, new_study, read_dynamic
from ..data.study import SIDES, Side, Study

_NIFTI = (".nii", ".nii.gz")
_ODELIA = re.compile(r"^(Pre|Post_\d+)$")
_OTHER = re.compile(r"(mask|seg|lesion|label|breasts)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Examination:
    """A study with its first phase, whose grid and affine outputs take."""

    study: Study
    grid: Volume


def open_examination(
    source: Path,
    *,
    study_id: str | None = None,
    times_s: Sequence[float] | None = None,
    sides: Sequence[Side] | None = None,
    breast_mask: Path | None = None,
) -> Examination:
    """Read a folder of DICOM files, a folder of NIfTI phases, or one study of a data set.

    NIfTI phases are taken in the order of the numbers in their names (`Pre` before `Post_k`); files whose names speak
    of masks are passed over.

    Args:
        source: the folder.
        study_id: a study of the data set in `source`; its tables then decide phases, times and sides.
        times_s: seconds of each phase, for NIfTI phases.
        sides: the breasts that the images show; both by default, unless a data set says.
        breast_mask: NIfTI mask on the images' grid, 1 left breast, 2 right breast.

    Raises:
        ConfigError: an option that does not fit the source.
        DataError: nothing usable in the folder, damaged files, or grids that differ.
    """
    if not source.is_dir():
        raise DataError(f"{source.name}: no such folder; expected DICOM files, NIfTI phases or a data set")
    if study_id is not None:
        found = _from_data_set(source, study_id)
    elif phases := nifti_phases(source):
        volumes = [read_volume(path) for path in phases]
        found = Examination(new_study(volumes), volumes[0])
    else:
        dynamic = find_dynamic(source)
        volumes = read_dynamic(dynamic)
        found = Examination(new_study(volumes, dynamic), volumes[0])
    study = found.study
    if times_s is not None:
        study = replace(study, times_s=_checked_times(times_s, len(study.phases)))
    if sides is not None:
        study = replace(study, labels=dict.fromkeys(sides, None), labels3={})
    if breast_mask is not None:
        mask = read_labels(breast_mask)
        require_same_grid(found.grid, mask)
        study = replace(study, breast_mask=mask.array)
    return Examination(study, found.grid)


def nifti_phases(folder: Path) -> list[Path]:
    """The NIfTI phases in a folder, in order; none where it holds no NIfTI file."""
    files = [p for p in folder.iterdir() if p.name.lower().endswith(_NIFTI) and not p.name.startswith(".")]
    named = [p for p in files if _ODELIA.match(p.name.partition(".")[0])]
    chosen = named or [p for p in files if not _OTHER.search(p.name)]
    return sorted(chosen, key=_phase_order)


def _phase_order(path: Path) -> list[tuple[int, int, str]]:
    """Numbers as numbers; a name that starts with "pre" first."""
    name = path.name.lower()
    parts = re.split(r"(\d+)", "" if name.startswith("pre") else name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _from_data_set(source: Path, study_id: str) -> Examination:
    manifest = open_data(source)
    rows = manifest.studies().get(study_id)
    if rows is None:
        raise ConfigError(f"--study: not in the data set, which has {len(manifest.studies())} studies")
    return Examination(*load_rows(manifest, rows))


def _checked_times(times_s: Sequence[float], phases: int) -> tuple[float, ...]:
    if len(times_s) != phases:
        raise ConfigError(f"--times: {len(times_s)} times for {phases} phases; give one per phase, in seconds")
    if any(b <= a for a, b in pairwise(times_s)):
        raise ConfigError("--times: must grow from phase to phase, in seconds")
    return tuple(float(t) - float(times_s[0]) for t in times_s)


def parse_times(text: str | None) -> tuple[float, ...] | None:
    """Numbers separated by commas.

    Raises:
        ConfigError: something else.

    Example:
        >>> parse_times("0, 90,180")
        (0.0, 90.0, 180.0)
    """
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as err:
        raise ConfigError(f"--times: expected seconds such as 0,90,180, got {text[:40]!r}") from err


def parse_sides(text: str) -> tuple[Side, ...] | None:
    """`auto`, `both`, `left` or `right`."""
    if text == "auto":
        return None
    return SIDES if text == "both" else tuple(side for side in SIDES if side == text)
