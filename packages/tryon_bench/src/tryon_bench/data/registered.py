"""Registered methods: folders of results under a name, so that an evaluation takes them all at once."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import Field, ValidationError

from .._shared.config import FrozenModel
from .._shared.errors import ConfigError, DataError
from .._shared.files import atomic_write, sha256_file
from .._shared.io.archives import extract
from .._shared.io.images import read_image, write_png
from .._shared.strict_json import to_json
from ..protocol.schema import Setting
from .parquet import unpack_parquet
from .predictions import Matches, match, resolve_predictions
from .sample import Dataset, Sample
from .stored import stored

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


class Registration(FrozenModel):
    """One method's results.

    The list's hash says for which pairs they were made; an evaluation of other pairs refuses them.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", description="How tables call the method.")
    folder: str = Field(description="Its results; relative to the registry's file where they lie below it.")
    pattern: str = Field(description="How its files are named.")
    setting: Setting = Field(description="paired or unpaired.")
    pairs: str = Field(description="Name of the list.")
    list_hash: str = Field(description="Hash of the list.")
    results: int = Field(ge=1, description="Pairs with a result.")
    expected: int = Field(ge=1, description="Pairs of the list.")


class MethodRegistry(FrozenModel):
    """Content of the registry's file."""

    methods: tuple[Registration, ...] = Field(default=(), description="In the order of registration.")


def register(
    dataset: Dataset,
    name: str,
    source: Path,
    registry: Path,
    pattern: str = "auto",
    *,
    allow_missing: bool = False,
    panels: int = 1,
) -> Registration:
    """Add a method's results to a registry file, or replace the entry of the same name and setting.

    Beside the file, `<name>-<setting>.jsonl` lists every row: files, SHA-256, size, pixel type, JPEG quality.

    Args:
        dataset: rows for which the results were made.
        name: of the method.
        source: folder of results; or a zip, a tar (a webdataset shard is one) or a Parquet file of them, which is
            unpacked beside the registry.
        registry: JSON file, made if missing.
        pattern: see `predictions.resolve_predictions`.
        allow_missing: accept rows without a result.
        panels: results lie in the rightmost of so many panels side by side (CatVTON's --concat_eval_results: 3); they
            are cut out and stored as PNG beside the registry.

    Raises:
        ConfigError: a name that is no plain word, or a damaged registry.
        DataError: see `predictions.resolve_predictions`; a damaged image; a width that panels do not divide.
    """
    known = load_registry(registry)
    registry.parent.mkdir(parents=True, exist_ok=True)
    entry = _entry(name, source, dataset)
    folder = _unpacked(source, registry.parent / f"{name}-{dataset.setting}.unpacked")
    if panels > 1:
        files = resolve_predictions(dataset, folder, pattern, allow_missing=allow_missing)
        folder = _cut(files, panels, registry.parent / f"{name}-{dataset.setting}.results")
        pattern = "pair_id"
    resolve_predictions(dataset, folder, pattern, allow_missing=allow_missing)  # judges the coverage
    found = match(dataset, folder, pattern)
    entry = entry.model_copy(
        update={"folder": _shown(folder, registry), "pattern": found.pattern, "results": len(found.files)}
    )
    _write_rows(registry.with_name(f"{name}-{dataset.setting}.jsonl"), dataset, found)
    others = tuple(m for m in known.methods if (m.name, m.setting) != (name, dataset.setting))
    atomic_write(registry, MethodRegistry(methods=(*others, entry)).model_dump_json(indent=2) + "\n")
    return entry


def load_registry(path: Path) -> MethodRegistry:
    """Read a registry file; one that does not exist is empty.

    Raises:
        ConfigError: damaged.
    """
    if not path.exists():
        return MethodRegistry()
    try:
        return MethodRegistry.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as err:
        raise ConfigError(f"{path.name}: not a registry of methods; write it with `tryon-bench register`") from err


def registered_predictions(
    dataset: Dataset, registry: Path, *, allow_missing: bool = False
) -> dict[str, dict[str, Path]]:
    """Results of all registered methods of the data set's setting: method -> pair_id -> file.

    Raises:
        ConfigError: a damaged registry, or no method of this setting.
        DataError: a method was registered for another list, or its results are gone.
    """
    methods = [m for m in load_registry(registry).methods if m.setting == dataset.setting]
    if not methods:
        raise ConfigError(f"{registry.name}: no {dataset.setting} results; add some with `tryon-bench register`")
    for method in methods:
        if method.list_hash != dataset.list_hash:
            raise DataError(
                f"{method.name}: registered for the list {method.pairs} with hash {method.list_hash}, this is "
                f"{dataset.pairs} with hash {dataset.list_hash}; register its results for this list"
            )
    return {
        method.name: resolve_predictions(
            dataset, registry.parent / method.folder, method.pattern, allow_missing=allow_missing
        )
        for method in methods
    }


def _entry(name: str, source: Path, dataset: Dataset) -> Registration:
    try:
        return Registration(
            name=name,
            folder=str(source),
            pattern="auto",
            setting=dataset.setting,
            pairs=dataset.pairs,
            list_hash=dataset.list_hash,
            results=1,
            expected=len(dataset.samples),
        )
    except ValidationError as err:
        raise ConfigError(f"method name {name!r}: use letters, digits and . _ + - only") from err


def _unpacked(source: Path, target: Path) -> Path:
    if source.suffix == ".parquet":
        return unpack_parquet(source, target)
    if not source.name.endswith(ARCHIVES):
        return source
    if target.exists():
        shutil.rmtree(target)  # of an earlier registration of this name
    return extract(source, target)


def _cut(files: dict[str, Path], panels: int, target: Path) -> Path:
    """The rightmost panel of every file, as PNG; panels of one size stand side by side."""
    for pair_id, path in files.items():
        array = read_image(path).array
        if array.shape[1] % panels:
            raise DataError(f"{path.name}: {array.shape[1]} px wide, which {panels} panels do not divide")
        write_png(target / f"{pair_id}.png", array[:, -(array.shape[1] // panels) :])
    return target


def _shown(folder: Path, registry: Path) -> str:
    """Relative below the registry's folder, so that both move together; absolute otherwise."""
    full, base = folder.resolve(), registry.parent.resolve()
    return str(full.relative_to(base)) if full.is_relative_to(base) else str(full)


def _write_rows(path: Path, dataset: Dataset, found: Matches) -> None:
    lines = [
        to_json(_row(sample, found.files[sample.pair_id]))
        for sample in dataset.samples
        if sample.pair_id in found.files
    ]
    atomic_write(path, "\n".join(lines) + "\n")


def _row(sample: Sample, prediction: Path) -> dict[str, object]:
    facts = stored(prediction)
    return {
        "pair_id": sample.pair_id,
        "person": sample.person.name,
        "garment": sample.garment.name,
        "reference": sample.reference and sample.reference.name,
        "prediction": prediction.name,
        "sha256": sha256_file(prediction),
        "size": list(facts.size),
        "mode": facts.mode,
        "jpeg_quality": facts.jpeg_quality,
    }
