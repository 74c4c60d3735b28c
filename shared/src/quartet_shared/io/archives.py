"""Zip and tar archives, treated as hostile: extracted whole and safely, or not at all.

The only caller of zipfile and tarfile. Links, devices and names that leave the target are refused rather than
repaired: the standard library's filters have been bypassed by links more than once (CVE-2025-4517, -4330, -4138).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..errors import ConfigError, DataError
from ..files import fsync_dir, os_error, sha256_file

MARKER = ".complete"  # JSON, file -> SHA-256; written last: a folder without it is not a whole archive
_LARGEST_READ = 16 * 2**20  # bytes; what the two libraries may load at once, namely tables and long names
_CHUNK = 2**20
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, LookupError, ValueError, ArithmeticError, RuntimeError),  # what the two raise for absurd content
)


@dataclass(frozen=True)
class Limits:
    """What an archive may hold.

    Attributes:
        max_bytes: unpacked size of the chosen members, in bytes.
        max_members: number of members.
        max_ratio: unpacked size over packed size.
    """

    max_bytes: int = 64 * 2**30
    max_members: int = 100_000
    max_ratio: float = 200.0


LIMITS = Limits()


@dataclass(frozen=True)
class _Member:
    name: PurePosixPath
    size: int
    refused: str  # why it must not be extracted, "" if it may
    open: Callable[[], IO[bytes] | None] | None  # None for a folder


def extract(
    archive: Path,
    target: Path,
    *,
    members: Sequence[str] = ("*",),
    strip: int = 0,
    limits: Limits = LIMITS,
) -> Path:
    """Unpack a `.zip` (or wheel), `.tar` or `.tar.gz` into a new folder, which appears whole or not at all.

    Files are written with default permissions; owners, times and empty folders are not kept. What an interrupted
    call left behind is removed by the next.

    Args:
        archive: the file; its content decides the format.
        target: folder to create.
        members: shell patterns of the files wanted (`*` crosses `/`); each must match at least one.
        strip: leading folders to drop from every name.
        limits: refuse larger archives.

    Returns:
        `target`.

    Raises:
        ConfigError: `target` exists.
        DataError: damaged, a wanted file is absent, or anything unsafe among the wanted members: a name outside the
            target or twice the same, a link, a device, too many, too large or too tightly packed.
        ResourceError: the target cannot be written.
    """
    if target.exists():
        raise ConfigError(f"{target.name}: exists already; remove it or choose another folder")
    unfinished = target.with_name(f".partial-{target.name}")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        with _opened(archive) as (listing, packed_bytes):
            sums = _extract_into(unfinished, archive.name, listing, members, strip, limits, packed_bytes)
        os.sync()
        (unfinished / MARKER).write_text(json.dumps(sums, indent=1))
        unfinished.replace(target)
        fsync_dir(target.parent)
    except OSError as err:
        raise os_error(err, target) from err
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


@dataclass(frozen=True)
class TarEntry:
    """A file inside an uncompressed tar: its bytes are `offset` to `offset + size` of the archive."""

    name: str
    offset: int
    size: int


def tar_entries(archive: Path, *, limits: Limits = LIMITS) -> list[TarEntry]:
    """Table of contents of an uncompressed tar, so that its files are read in place and in any order.

    Raises:
        DataError: damaged, compressed, a zip, too many members, or an unsafe member (see `extract`).
    """
    entries: list[TarEntry] = []
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_File(io.FileIO(archive)))
        except OSError as err:
            raise DataError(f"{archive.name}: cannot be read ({err.strerror}); check the path") from err
        try:
            listing = stack.enter_context(tarfile.open(fileobj=file, mode="r:"))
            for count, info in enumerate(listing, start=1):
                refused = _refuse_name(info.name)
                if count > limits.max_members or refused or not (info.isdir() or info.isreg()) or info.issparse():
                    reason = refused or "one too many, or a link, device or sparse file"
                    raise DataError(f"{archive.name}: member {count} is {reason}; get the archive from its source")
                if info.isreg():
                    entries.append(TarEntry(info.name, info.offset_data, info.size))
            file.seek(listing.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("no end mark")
        except _DAMAGE as err:
            raise DataError(f"{archive.name}: damaged or not an uncompressed tar; get it again") from err
    return entries


def is_complete(folder: Path) -> bool:
    """True for a folder that `extract` has finished."""
    return (folder / MARKER).is_file()


def damaged_files(folder: Path) -> list[str]:
    """Names, relative to a finished folder, of files that are missing or differ from what `extract` wrote.

    Raises:
        DataError: `extract` has not finished that folder, or its list is damaged.
    """
    try:
        sums = json.loads((folder / MARKER).read_text())
        return sorted(name for name, digest in sums.items() if not _is_intact(folder / name, digest))
    except (OSError, ValueError, AttributeError) as err:
        raise DataError(f"{folder.name}: not a completely unpacked archive; remove it and unpack again") from err


def _is_intact(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_file(path) == digest


def _extract_into(
    folder: Path,
    archive: str,
    listing: Iterator[_Member],
    patterns: Sequence[str],
    strip: int,
    limits: Limits,
    packed_bytes: int,
) -> dict[str, str]:
    seen = {PurePosixPath(MARKER)}
    sums: dict[str, str] = {}
    folders: set[PurePosixPath] = set()
    unmatched, unpacked = set(patterns), 0
    for count, member in enumerate(listing, start=1):
        if count > limits.max_members:
            raise DataError(
                f"{archive}: more than {limits.max_members} members; unpack it by hand if you trust it"
            )
        name = PurePosixPath(*member.name.parts[strip:])
        matching = {pattern for pattern in patterns if fnmatchcase(str(name), pattern)}
        if not matching or not name.parts:
            continue
        unmatched -= matching
        shown = f"{archive}: member {count}"
        if member.refused:
            raise DataError(f"{shown} is {member.refused}; nothing was extracted, get the archive from its source")
        if member.open is None:
            continue
        if name in seen or name in folders or not seen.isdisjoint(name.parents):
            raise DataError(f"{shown} has the name of another; nothing was extracted")
        seen.add(name)
        folders.update(name.parents)
        unpacked += member.size
        if unpacked > limits.max_bytes or unpacked > limits.max_ratio * packed_bytes:
            raise DataError(
                f"{shown} takes the unpacked size to {unpacked} bytes, for an archive of {packed_bytes}; the limits "
                f"are {limits.max_bytes} bytes and {limits.max_ratio:g} to 1; nothing was extracted"
            )
        sums[str(name)] = _write(folder / name, member.open)
    if unmatched:
        raise DataError(f"{archive}: holds no {', '.join(sorted(unmatched))}; is it another version?")
    return sums


def _write(path: Path, opened: Callable[[], IO[bytes] | None]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    source = opened()
    if source is None:
        raise tarfile.ReadError("not a file")
    with source, path.open("xb") as out:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest()


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[Iterator[_Member], int]]:
    """Members in order and the size of the archive; what the two libraries raise inside becomes `DataError`."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_File(io.FileIO(archive)))
        except OSError as err:
            raise DataError(f"{archive.name}: cannot be read ({err.strerror}); check the path") from err
        try:
            yield _members(file, stack), archive.stat().st_size
        except _DAMAGE as err:
            raise DataError(f"{archive.name}: damaged or not a zip, tar or tar.gz; get it again") from err


def _members(file: _File, stack: ExitStack) -> Iterator[_Member]:
    magic = file.read(2)
    file.seek(0)
    if magic == b"PK":
        return _zip_members(stack.enter_context(zipfile.ZipFile(file)))
    stream: Any = stack.enter_context(_GzipFile(fileobj=file)) if magic == b"\x1f\x8b" else file
    return _tar_members(stack.enter_context(tarfile.open(fileobj=stream, mode="r:")), stream)


class _File(io.BufferedReader):
    """A file of which no table or name is read that would fill the memory; -1 is bounded by the file itself."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(_bounded(size))

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except OSError as err:  # before the start: a damaged table, not the operating system
            raise tarfile.ReadError("position outside the file") from err


class _GzipFile(gzip.GzipFile):
    def read(self, size: int | None = -1) -> bytes:
        return super().read(_bounded(size))


def _bounded(size: int | None) -> int:
    if size is not None and size > _LARGEST_READ:
        raise tarfile.ReadError("an entry of the table of contents is larger than any real one")
    return -1 if size is None else size


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        refused = _refuse_name(info.orig_filename)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            refused = "a link or device"
        elif info.flag_bits & 1:
            refused = "encrypted"
        content = None if info.is_dir() else partial(archive.open, info)
        yield _Member(PurePosixPath(info.filename), info.file_size, refused, content)


def _tar_members(archive: tarfile.TarFile, stream: IO[bytes]) -> Iterator[_Member]:
    for info in archive:
        refused = _refuse_name(info.name)
        if not (info.isdir() or (info.isreg() and not info.issparse())):
            refused = "a link, device or sparse file"
        content = None if info.isdir() else partial(archive.extractfile, info)
        yield _Member(PurePosixPath(info.name), info.size, refused, content)
    # tarfile takes a damaged header for the end of the archive; the true end is a block of zeros
    stream.seek(archive.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("no end mark")
    stream.read(_CHUNK)  # up to the checksum of a gzip file


def _refuse_name(name: str) -> str:
    if not name or name.startswith("/") or ".." in PurePosixPath(name).parts:
        return "named outside the target folder"
    if "\\" in name or "\0" in name or name[1:2] == ":":
        return "named in a way that other systems read as another path"
    if len(name) > 1000 or any(len(os.fsencode(part)) > 255 for part in PurePosixPath(name).parts):
        return "named at greater length than a file system holds"
    return ""
