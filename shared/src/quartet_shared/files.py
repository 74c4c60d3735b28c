"""Files that are whole or absent: atomic writes, checksums, and one translation of `OSError`."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import ResourceError

_NO_SPACE = "no space is left (disk or quota); free some space or choose another place"
_NOT_ALLOWED = "writing is not allowed there; check the permissions or choose another place"
_REASONS = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: "the file would exceed the size limit of the system; raise the limit or choose another place",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.ENOTDIR: "a file stands where a folder is needed; choose another place",
    errno.EEXIST: "a file stands where a folder is needed; choose another place",
    errno.EISDIR: "a folder stands where a file is needed; choose another name",
    errno.ENOENT: "the file or its folder does not exist; check the path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


def os_error(err: OSError, path: Path) -> ResourceError:
    """Translate an error of the operating system, naming the file but not its folders.

    Example:
        >>> str(os_error(OSError(errno.ENOSPC, "..."), Path("/data/JANE_DOE/mask.png")))
        "cannot use 'mask.png': no space is left (disk or quota); free some space or choose another place"
    """
    reason = _REASONS.get(err.errno or 0) or f"{err.strerror or type(err).__name__}; choose another place"
    return ResourceError(f"cannot use {path.name!r}: {reason}")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a hidden sibling of `path`, which takes its place when the block ends well.

    The sibling keeps the suffixes of `path`, so that writers choose the same format. It is synced to disk before
    it is renamed, and the folder after, so that a power cut leaves the old file or the new one. When the block
    fails, the sibling is removed and `path` stays as it was.

    Args:
        path: file to write; its folder exists.

    Raises:
        ResourceError: the operating system refuses (disk full, read-only, no such folder).
    """
    temporary = path.with_name(f".tmp-{secrets.token_hex(6)}{''.join(path.suffixes[-2:])}")
    try:
        yield temporary
        fsync_file(temporary)
        temporary.replace(path)
        fsync_dir(path.parent)
    except OSError as err:
        if err.errno is None:  # raised by a library about the content (Pillow does), not by the operating system
            raise
        raise os_error(err, path) from err
    finally:
        with suppress(OSError):  # gone after the rename; a read-only folder never held it
            temporary.unlink()


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a whole file, text as UTF-8, or leave what was there.

    Raises:
        ResourceError: the operating system refuses (disk full, read-only, no such folder).
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def fsync_file(path: Path) -> None:
    """Force the content of a file to the disk.

    Raises:
        OSError: the disk refuses; delayed writes report a full disk here.
    """
    _fsync(path, os.O_RDONLY)


def fsync_dir(path: Path) -> None:
    """Force the entries of a folder to the disk, so that a rename survives a power cut.

    Raises:
        OSError: the disk refuses.
    """
    try:
        _fsync(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as err:
        # Some network file systems cannot sync a folder and say so with EINVAL; their renames are synchronous.
        if err.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits; memory stays flat.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_writable_dir(path: Path) -> Path:
    """Create a folder with its parents if needed and prove that a file can be written into it.

    Called before any computation, so that hours of it are not lost to a typing error.

    Returns:
        The same path.

    Raises:
        ResourceError: it is a file, read-only, or the disk is full.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as probe:  # has no name, so that nothing is left behind by a kill
            probe.write(bytes(4096))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as err:
        raise os_error(err, path) from err
    return path
