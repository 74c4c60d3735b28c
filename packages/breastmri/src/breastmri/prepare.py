"""Data folder -> network inputs: computed in memory, or once on disk by `breastmri prepare`.

A prepared folder holds `breasts.json` (what is known about each breast, and the preprocessing) and one safetensors
file per breast; training reads them one by one, so that memory stays flat.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from ._shared.errors import ConfigError, DataError
from ._shared.files import atomic_write, require_writable_dir
from ._shared.logs import get_logger, progress
from .data.manifest import Manifest, Row, label_row
from .data.opening import open_data
from .data.reading import load_rows
from .data.study import Side
from .grids import Window
from .preprocess import BreastInput, Preprocessing, breast_input

log = get_logger(__name__)
INDEX = "breasts.json"


@dataclass(frozen=True)
class Excluded:
    """A study or breast that cannot be used; `number` counts studies from 1, so that no identifier is shown."""

    number: int
    reason: str


class Breasts(Sequence[BreastInput]):
    """The breasts of a data folder, read when they are asked for.

    Attributes:
        layout: the data set's format.
        synthetic: the data are phantoms.
        excluded: what cannot be used, with reasons.
        facts: per breast what is known without its voxels: study_id, patient_id, site, side, label, split, fold.
    """

    def __init__(
        self,
        facts: Sequence[dict[str, Any]],
        read: Callable[[int], BreastInput],
        *,
        layout: str,
        synthetic: bool,
        excluded: Sequence[Excluded] = (),
    ) -> None:
        self.facts, self._read = list(facts), read
        self.layout, self.synthetic, self.excluded = layout, synthetic, tuple(excluded)

    def __len__(self) -> int:
        return len(self.facts)

    @overload
    def __getitem__(self, index: int) -> BreastInput: ...
    @overload
    def __getitem__(self, index: slice) -> Breasts: ...
    def __getitem__(self, index: int | slice) -> BreastInput | Breasts:
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])
        return self._read(range(len(self))[index])

    def subset(self, numbers: Sequence[int]) -> Breasts:
        """Some of the breasts, still lazy."""
        chosen = list(numbers)
        return Breasts(
            [self.facts[i] for i in chosen],
            lambda i: self._read(chosen[i]),
            layout=self.layout,
            synthetic=self.synthetic,
            excluded=self.excluded,
        )

    def labelled(self) -> Breasts:
        """Those with a label."""
        return self.subset([i for i, fact in enumerate(self.facts) if fact["label"] is not None])

    def of_split(self, split: str) -> Breasts:
        """Those of train, val or test."""
        return self.subset([i for i, fact in enumerate(self.facts) if fact["split"] == split])


def load_breasts(root: Path, plan: Preprocessing, *, layout: str = "auto", quiet: bool = False) -> Breasts:
    """The breasts of a prepared folder, or those of a data set, computed now and kept in memory.

    Breasts without label are kept (`Breasts.labelled` leaves them out); studies that cannot be read are listed.

    Raises:
        ConfigError: the folder was prepared with another preprocessing.
        DataError: no such folder or layout, its tables are damaged, or no breast is usable.
    """
    if (root / INDEX).is_file():
        return open_prepared(root, plan)
    manifest = open_data(root, layout)
    excluded: list[Excluded] = []
    breasts = [
        breast
        for number, rows in _studies(manifest, quiet=quiet)
        for breast in study_breasts(manifest, rows, plan, number, excluded)
    ]
    if not breasts:
        first = f"; the first because: {excluded[0].reason}" if excluded else ""
        raise DataError(f"{root.name}: none of {len(manifest.studies())} studies can be used{first}")
    return Breasts(
        [_facts(breast) for breast in breasts],
        lambda i: breasts[i],
        layout=manifest.layout,
        synthetic=manifest.synthetic,
        excluded=excluded,
    )


def open_prepared(root: Path, plan: Preprocessing | None = None) -> Breasts:
    """A folder of `prepare_folder`.

    Raises:
        ConfigError: it was prepared with another preprocessing than `plan`.
        DataError: damaged or unfinished.
    """
    index = _read_index(root)
    stored = Preprocessing(**index["preprocessing"])
    if plan is not None and plan != stored:
        changed = [k for k, v in plan.model_dump().items() if v != stored.model_dump()[k]]
        raise ConfigError(
            f"{root.name}: was prepared with other {', '.join(changed)}; prepare it again, or give the same settings"
        )
    facts = index["breasts"]
    excluded = [Excluded(**one) for one in index["excluded"]]
    return Breasts(
        facts,
        lambda i: _read_breast(root, facts[i]),
        layout=index["layout"],
        synthetic=index["synthetic"],
        excluded=excluded,
    )


def prepared_plan(root: Path) -> Preprocessing | None:
    """The preprocessing of a prepared folder; None for any other folder."""
    return Preprocessing(**_read_index(root)["preprocessing"]) if (root / INDEX).is_file() else None


def prepare_folder(
    manifest: Manifest, out: Path, plan: Preprocessing, *, resume: bool = False, quiet: bool = False
) -> Breasts:
    """Write the inputs of all breasts of a manifest into `out`.

    Raises:
        ConfigError: `out` is not empty and `resume` is off, or was begun with other settings.
        DataError: no breast is usable.
        ResourceError: `out` cannot be written.
    """
    require_writable_dir(out)
    begun = out / "preparing.json"
    settings = json.dumps({"preprocessing": plan.model_dump(), "studies": len(manifest.studies())})
    if any(out.iterdir()) and not resume:
        raise ConfigError(f"{out.name}: not empty; continue with --resume, or choose another folder")
    if begun.exists() and begun.read_text(encoding="utf-8") != settings:
        raise ConfigError(f"{out.name}: was begun with other settings or data; choose another folder")
    atomic_write(begun, settings)
    excluded: list[Excluded] = []
    facts: list[dict[str, Any]] = []
    for number, rows in _studies(manifest, quiet=quiet):
        finished = [_read_json(path) for path in sorted(out.glob(f"breast_{number:05d}_*.json"))]
        if len(finished) == len(_sides(rows)):
            facts += finished
        else:
            facts += [_write_breast(out, number, b) for b in study_breasts(manifest, rows, plan, number, excluded)]
    if not facts:
        raise DataError(f"none of {len(manifest.studies())} studies can be used; see the log for reasons")
    document = {
        "layout": manifest.layout,
        "synthetic": manifest.synthetic,
        "preprocessing": plan.model_dump(),
        "breasts": facts,
        "excluded": [vars(one) for one in excluded],
    }
    atomic_write(out / INDEX, json.dumps(document, indent=1))
    return open_prepared(out)


def study_breasts(
    manifest: Manifest, rows: Sequence[Row], plan: Preprocessing, number: int, excluded: list[Excluded]
) -> list[BreastInput]:
    """The inputs of one study; what is wrong with it goes to `excluded` and to the log."""
    try:
        study = load_rows(manifest, rows)[0]
    except DataError as err:
        return _exclude(number, str(err), excluded)
    breasts: list[BreastInput] = []
    for side in study.sides:
        row = next((r for r in rows if r.side == side), rows[0])
        try:
            breast = breast_input(study, side, plan)
        except DataError as err:
            _exclude(number, str(err), excluded)
            continue
        breasts.append(replace(breast, split=row.split, fold=row.fold))
    return breasts


def _exclude(number: int, reason: str, excluded: list[Excluded]) -> list[BreastInput]:
    log.warning("study %d is left out: %s", number, reason)
    excluded.append(Excluded(number, reason))
    return []


def _studies(manifest: Manifest, *, quiet: bool) -> Iterator[tuple[int, tuple[Row, ...]]]:
    studies = manifest.studies()
    with progress(len(studies), "reading studies", quiet=quiet) as bar:
        for number, rows in enumerate(studies.values(), start=1):
            yield number, rows
            bar.update()


def _sides(rows: Sequence[Row]) -> list[str]:
    """The breasts that rows will give."""
    if rows[0].side != "bilateral":
        return [row.side for row in rows]
    return ["left"] if rows[0].meta.get("whole_image") else ["left", "right"]


def _facts(breast: BreastInput) -> dict[str, Any]:
    return {
        "study_id": breast.study_id,
        "patient_id": breast.patient_id,
        "site": breast.site,
        "side": breast.side,
        "label": breast.label,
        "split": breast.split,
        "fold": breast.fold,
    }


def _write_breast(out: Path, number: int, breast: BreastInput) -> dict[str, Any]:
    """Voxels first, then the facts, whose presence says that the breast is whole."""
    stem = f"breast_{number:05d}_{breast.side}"
    tensors = {"array": breast.array, "region": breast.region.astype(np.uint8)}
    if breast.lesion is not None:
        tensors["lesion"] = breast.lesion.astype(np.float32)
    atomic_write(out / f"{stem}.safetensors", save({k: np.ascontiguousarray(v) for k, v in tensors.items()}))
    facts = _facts(breast) | {
        "file": f"{stem}.safetensors",
        "window": [breast.window.shape, breast.window.start, breast.window.step],
        "affine": breast.affine.tolist(),
        "center_mm": breast.center_mm,
        "problems": breast.problems,
        "meta": dict(breast.meta),
    }
    atomic_write(out / f"{stem}.json", json.dumps(facts))
    return facts


def _read_breast(root: Path, facts: dict[str, Any]) -> BreastInput:
    path = root / facts["file"]
    try:
        tensors = load_file(path)
        shape, start, step = (tuple(part) for part in facts["window"])
        side: Side = facts["side"]
        return BreastInput(
            tensors["array"],
            tensors["region"].astype(bool),
            Window(shape, start, step),
            np.array(facts["affine"]),
            side,
            facts["study_id"],
            facts["patient_id"],
            facts["site"],
            facts["label"],
            tensors.get("lesion"),
            None if facts["center_mm"] is None else tuple(facts["center_mm"]),
            tuple(facts["problems"]),
            facts["split"],
            facts["fold"],
            facts["meta"],
        )
    except (OSError, SafetensorError, KeyError, ValueError) as err:
        raise DataError(f"{path.name}: missing or damaged; run `breastmri prepare` again") from err


def _read_index(root: Path) -> dict[str, Any]:
    index = _read_json(root / INDEX)
    if not {"layout", "synthetic", "preprocessing", "breasts", "excluded"} <= set(index):
        raise DataError(f"{INDEX}: incomplete; run `breastmri prepare` again")
    return index


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise DataError(f"{path.name}: cannot be read; run `breastmri prepare` again") from err
    if not isinstance(value, dict):
        raise DataError(f"{path.name}: expected a JSON object; run `breastmri prepare` again")
    return value


def with_breast_masks(manifest: Manifest, folder: Path) -> Manifest:
    """The manifest with the user's breast masks: `<study_id>.nii.gz`, 1 left breast, 2 right breast.

    Args:
        manifest: of the data.
        folder: with the masks, inside the data folder.

    Raises:
        DataError: the folder lies elsewhere, or holds no mask of any study.
    """
    rows = []
    found = 0
    for row in manifest.rows:
        path = folder / f"{row.study_id}.nii.gz"
        if path.is_file() and path.resolve().is_relative_to(manifest.root.resolve()):
            text = path.resolve().relative_to(manifest.root.resolve()).as_posix()
            rows.append(label_row(row, meta=row.meta | {"breast_mask_path": text}))
            found += 1
        else:
            rows.append(row)
    if not found:
        raise DataError(
            f"{folder.name}: no mask <study_id>.nii.gz of any study; expected the folder inside the data folder"
        )
    return replace(manifest, rows=tuple(rows))
