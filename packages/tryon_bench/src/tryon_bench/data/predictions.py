"""The results of a method that belong to the rows of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .._shared.errors import ConfigError, DataError
from .naming import COUNTERS, PATTERNS, expected_stem, key_of, only_counters, template_of
from .roles import IMAGE_SUFFIXES
from .sample import Dataset, Sample


@dataclass(frozen=True)
class Matches:
    """Which file answers which row.

    Attributes:
        pattern: name or template that was used.
        files: pair_id -> file, in the order of the list.
        missing: pair ids without a file.
        extra: files that no row asks for.
    """

    pattern: str
    files: dict[str, Path]
    missing: tuple[str, ...]
    extra: tuple[Path, ...]

    @property
    def coverage(self) -> str:
        """Answered rows of all rows, such as "2030/2032"."""
        return f"{len(self.files)}/{len(self.files) + len(self.missing)}"


def resolve_predictions(
    dataset: Dataset, folder: Path, pattern: str = "auto", *, allow_missing: bool = False
) -> dict[str, Path]:
    """Find the result of every row.

    Args:
        dataset: the rows.
        folder: the method's output, flat or with one folder per category.
        pattern: name of a built-in pattern, a template such as "{person_stem}_{garment_stem}", or "auto", which
            tries all built-in ones and takes the best.
        allow_missing: accept rows without a result; they are left out, and n says so.

    Returns:
        pair_id -> file, in the order of the list.

    Raises:
        DataError: no folder, no image, two files for one row, two patterns that disagree, or (without
            `allow_missing`) a row without a result.
        ConfigError: unknown pattern.
    """
    found = match(dataset, folder, pattern)
    if not found.files:
        raise DataError(
            f"{folder.name}: none of {len(found.extra)} images is named after a pair of {dataset.pairs} (tried "
            f"{', '.join(PATTERNS) if pattern == 'auto' else pattern}); say how with --pattern"
        )
    if found.missing and not allow_missing:
        raise DataError(
            f"{folder.name}: {found.coverage} pairs of {dataset.pairs} have a result (pattern {found.pattern}), "
            f"{found.missing[0]} has none; finish the inference, or leave them out (evaluate --allow, register "
            "--allow-missing)"
        )
    return found.files


def match(dataset: Dataset, folder: Path, pattern: str = "auto") -> Matches:
    """As `resolve_predictions`, without judging the coverage.

    Raises:
        DataError: no folder, no image, two files for one row, or two patterns that disagree.
        ConfigError: unknown pattern.
    """
    files = result_files(folder)
    if pattern != "auto":
        return _match(dataset, folder, files, pattern)
    names = [name for name in PATTERNS if name not in COUNTERS or only_counters(files)]
    tried = [_match(dataset, folder, files, name, lenient=True) for name in names]
    best = max(tried, key=lambda found: len(found.files))  # the first of equals: specific patterns stand first
    if not best.files:
        return best
    for other in tried:
        if len(other.files) == len(best.files) and other.files != best.files:
            raise DataError(
                f"{folder.name}: the patterns {best.pattern} and {other.pattern} fit equally well and disagree; "
                "choose one with --pattern"
            )
    return best


def result_files(folder: Path) -> list[Path]:
    """Images of a folder and its sub-folders, sorted; hidden ones are left out.

    Raises:
        DataError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder.name}: expected a folder of results, found none; check the path")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not _is_hidden(path, folder)
    )
    if not files:
        raise DataError(f"{folder.name}: no image in it; expected {', '.join(IMAGE_SUFFIXES)}")
    return files


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _match(dataset: Dataset, folder: Path, files: list[Path], pattern: str, *, lenient: bool = False) -> Matches:
    template = template_of(pattern)
    shelf = _Shelf(folder, files, template, lenient=lenient)
    found: dict[str, Path] = {}
    for index, sample in enumerate(dataset.samples):
        path = shelf.find(sample, expected_stem(template, sample, index))
        if path is not None:
            found[sample.pair_id] = path
    if len(set(found.values())) < len(found):
        # one file for several rows: the pattern does not tell them apart
        found = {} if lenient else _refuse_shared(found, folder, pattern)
    missing = tuple(s.pair_id for s in dataset.samples if s.pair_id not in found)
    used = set(found.values())
    return Matches(pattern, found, missing, tuple(path for path in files if path not in used))


def _refuse_shared(found: dict[str, Path], folder: Path, pattern: str) -> dict[str, Path]:
    values = list(found.values())
    twice = next(path for path in values if values.count(path) > 1)
    raise ConfigError(
        f"{folder.name}: under the pattern {pattern}, {twice.name} answers several pairs; choose another"
    )


class _Shelf:
    """Files by the part of their name that a template compares."""

    def __init__(self, folder: Path, files: list[Path], template: str, *, lenient: bool) -> None:
        self.folder, self.lenient = folder, lenient
        self.by_key: dict[str, list[Path]] = {}
        key = key_of(template)
        for path in files:
            self.by_key.setdefault(key(path.stem), []).append(path)

    def find(self, sample: Sample, stem: str) -> Path | None:
        """The one file of a row; a folder named after the row's category decides between equals.

        Raises:
            DataError: several.
        """
        where, _, name = stem.rpartition("/")  # a template may name folders
        candidates = self.by_key.get(name, []) if name else []
        if where:
            candidates = [path for path in candidates if _folders(path, self.folder) == tuple(where.split("/"))]
        if len(candidates) > 1 and sample.category:
            candidates = [p for p in candidates if sample.category in _folders(p, self.folder)] or candidates
        if len(candidates) > 1:
            if self.lenient:
                return None
            names = " and ".join(str(path.relative_to(self.folder)) for path in candidates[:2])
            raise DataError(f"{self.folder.name}: {names} both answer {sample.pair_id}; keep one")
        return candidates[0] if candidates else None


def _folders(path: Path, root: Path) -> tuple[str, ...]:
    return path.relative_to(root).parts[:-1]
