"""`tryon-bench prepare`: a user's folder -> a data set in VITON-HD's layout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .._shared.errors import ConfigError, DataError
from .._shared.files import atomic_write, require_writable_dir, sha256_file
from .._shared.logs import progress
from .._shared.strict_json import to_json
from .files import OutputFolder
from .garment import prepare_garment
from .journal import Journal, Record, claim, locked
from .lists import Lists, make_lists, write_lists
from .photo import prepare_photo
from .settings import Settings
from .sources import Item, find_items
from .workers import over_processes

# of one split each
SETTINGS = "prepare_{}.json"
JOURNAL = "prepared_{}.jsonl"


@dataclass(frozen=True)
class Prepared:
    """What a call did.

    Attributes:
        made: items made now.
        kept: items that were there, from the same inputs.
        failed: file -> why it could not be prepared.
        removed: items whose sources are gone.
        pairs: rows per setting.
        without_parse: photos whose masks come from pose and outline alone.
        without_top: photos whose parse has hardly an upper garment where the torso is, as by a wrong scheme.
    """

    made: int
    kept: int
    failed: dict[str, str]
    removed: int
    pairs: dict[str, int]
    without_parse: int
    without_top: int


@dataclass(frozen=True)
class _Job:
    item: Item
    settings: Settings
    folder: Path
    known: Record | None


@dataclass(frozen=True)
class _Done:
    key: tuple[str, str]
    record: Record | None
    kept: bool
    problem: str = ""


def prepare_dataset(
    source: Path,
    target: Path,
    settings: Settings,
    *,
    folders: Mapping[str, str] | None = None,
    pairs: Path | None = None,
    workers: int | None = None,
    allow: bool = False,
    resume: bool = False,
    quiet: bool = False,
) -> Prepared:
    """Prepare every photo and garment; safe to kill and to repeat.

    Every file is whole or absent. What has been made from the same inputs is kept, what has changed is made again,
    what is gone from the source is removed.

    Args:
        source: the user's folder; only read.
        target: a new or empty folder, or one of the same settings with `resume`.
        settings: recipe, size and the rest.
        folders: role -> folder name, where it is none of the known ones.
        pairs: the unpaired list, where it has none of the known names.
        workers: processes; one per core by default.
        allow: leave out what cannot be prepared, and say so, instead of an error at the end.
        resume: go on in a folder that was begun.
        quiet: no progress.

    Raises:
        ConfigError: the target is in use, was begun with other settings, or lies in the source or around it.
        DataError: the source cannot be used, MediaPipe's models are needed and not there, or (without `allow`) some
            files cannot be used; all others are prepared then.
        ResourceError: the target cannot be written.
    """
    photos, garments, folder = find_items(source, settings.split, folders or {})
    lists = make_lists(folder, source, settings.split, [i.stem for i in photos], [i.stem for i in garments], pairs)
    _require_apart(source.resolve(), target.resolve())
    if settings.estimate:
        _require_models(photos, settings)
    require_writable_dir(target)
    with locked(target):
        settings_file = target / SETTINGS.format(settings.split)
        claim(settings_file, {"settings": settings.model_dump()}, resume=resume)
        _remove_unfinished(target)
        journal = Journal(target / JOURNAL.format(settings.split))
        items = [*garments, *photos]
        done = _prepare_all(items, settings, target / settings.split, journal, workers or _cores(), quiet)
        gone = set(journal.records) - {(item.kind, item.stem) for item in items}
        for key in gone:
            journal.forget(key, target / settings.split)
        result = _finish(settings_file, settings, lists, journal, done, len(gone))
    if result.failed and not (allow and any(result.pairs.values())):
        first = next(iter(result.failed.values()))
        others = "no pair is left without them" if allow else "or leave them out with --allow"
        raise DataError(
            f"{len(result.failed)} of {len(done)} files could not be prepared; the first: {first}; all reasons are in "
            f"{settings_file.name}; repair them and go on with --resume, {others}"
        )
    return result


def _prepare_all(
    items: list[Item], settings: Settings, folder: Path, journal: Journal, workers: int, quiet: bool
) -> list[_Done]:
    jobs = [_Job(item, settings, folder, journal.records.get((item.kind, item.stem))) for item in items]
    done = []
    with progress(len(jobs), "preparing", quiet=quiet) as bar:
        for result in over_processes(_prepare, jobs, workers):
            if result.record is None:
                journal.forget(result.key, folder)
            elif not result.kept:
                journal.replace(result.record, folder)
            done.append(result)
            bar.update()
    return done


def _prepare(job: _Job) -> _Done:
    """One item, in a worker: kept, made, or the reason why not."""
    item = job.item
    key = (item.kind, item.stem)
    try:
        inputs = {role: sha256_file(path) for role, path in item.files.items()}
    except OSError as err:
        name = Path(str(err.filename)).name
        return _Done(key, None, False, f"{name}: cannot be read ({err.strerror}); check its permissions")
    if job.known is not None and job.known.inputs == inputs and _all_there(job.folder, job.known):
        return _Done(key, job.known, True)
    out = OutputFolder(job.folder)
    try:
        if item.kind == "garment":
            prepare_garment(item, job.settings, out)
            record = Record(kind=item.kind, stem=item.stem, inputs=inputs, outputs=tuple(out.written))
        else:
            notes = prepare_photo(item, job.settings, out)
            record = Record(
                kind=item.kind, stem=item.stem, inputs=inputs, outputs=tuple(out.written), recipe=notes.recipe,
                estimated=tuple(notes.estimated), shows_top=notes.shows_top,
            )  # fmt: skip
    except DataError as err:
        # what is said of arrays has no name yet
        reason = str(err) if any(path.name in str(err) for path in item.files.values()) else f"{item.stem}: {err}"
        for name in out.written:
            (job.folder / name).unlink(missing_ok=True)
        return _Done(key, None, False, reason)
    return _Done(key, record, False)


def _finish(
    settings_file: Path, settings: Settings, lists: Lists, journal: Journal, done: list[_Done], removed: int
) -> Prepared:
    """Lists and summary of what is there now."""
    failed = {f"{d.key[0]} {d.key[1]}": d.problem for d in done if d.record is None}
    counts = write_lists(settings_file.parent, settings.split, lists, set(journal.records))
    without_parse = sum(r.kind == "photo" and not r.has_parse for r in journal.records.values())
    without_top = sum(not r.shows_top for r in journal.records.values())
    summary = {
        "settings": settings.model_dump(),
        "pairs": counts,
        "pairs_from": lists.origin,
        "photos_without_parse": without_parse,
        "photos_without_top": without_top,
        "failed": failed,
    }
    atomic_write(settings_file, to_json(summary, indent=2) + "\n")
    journal.compact()
    kept = sum(d.kept for d in done)
    return Prepared(len(done) - kept - len(failed), kept, failed, removed, counts, without_parse, without_top)


def _require_apart(source: Path, target: Path) -> None:
    """Results among the photos would be read as photos, and photos among the results be replaced by them."""
    if source == target or source in target.parents:
        raise ConfigError(f"{target.name}: lies in the source folder; choose a place outside of it")
    if target in source.parents:
        raise ConfigError(f"{target.name}: the source folder {source.name} lies in it; choose another folder")


def _require_models(photos: list[Item], settings: Settings) -> None:
    """Load what will be needed, so that absent models are one error before the first photo."""
    from ..persons.models import pose_network, segmentation_network

    without_joints = any("keypoints" not in photo.files for photo in photos)
    if without_joints or any("parse" not in photo.files for photo in photos):
        segmentation_network()
    if without_joints:
        pose_network(settings.pose_model)


def _all_there(folder: Path, record: Record) -> bool:
    return all((folder / name).is_file() for name in record.outputs)


def _remove_unfinished(target: Path) -> None:
    """Temporary files of a killed call."""
    for path in target.rglob(".tmp-*"):
        path.unlink(missing_ok=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
