"""A file is whole or absent, whatever the disk does."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quartet_shared.errors import ResourceError
from quartet_shared.files import atomic_path, atomic_write, fsync_dir, os_error, require_writable_dir, sha256_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failing(code: int):
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_text_is_written_as_utf8_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "größe 1.txt"
    atomic_write(target, "10 µm")
    assert target.read_bytes() == "10 µm".encode()
    assert names(tmp_path) == ["größe 1.txt"]


@given(old=st.binary(max_size=50), new=st.binary(max_size=50))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_new_content_replaces_the_old_one(tmp_path: Path, old: bytes, new: bytes) -> None:
    target = tmp_path / "x.bin"
    atomic_write(target, old)
    atomic_write(target, new)
    assert target.read_bytes() == new


def test_the_old_file_stands_until_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "mask.nii.gz"
    target.write_text("old")
    with atomic_path(target) as temporary:
        assert temporary.name.endswith(".nii.gz")
        assert temporary.name.startswith(".")
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError("bad voxel"), KeyboardInterrupt(), OSError("cannot write mode F")])
def test_a_failure_of_the_writer_passes_through_and_changes_nothing(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "x.png"
    target.write_text("old")
    with pytest.raises(type(error)) as caught, atomic_path(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert caught.value is error
    assert target.read_text() == "old"
    assert names(tmp_path) == ["x.png"]


def test_content_is_synced_before_the_rename_and_the_folder_after(tmp_path: Path, monkeypatch) -> None:
    events = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(Path(f"/proc/self/fd/{fd}").is_dir()), sync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (events.append("rename"), replace(self, to))[1])
    atomic_write(tmp_path / "x", b"1")
    assert events == [False, "rename", True]


def test_a_disk_that_fills_up_at_the_sync_keeps_the_old_file(tmp_path: Path, monkeypatch) -> None:
    target = tmp_path / "weights.safetensors"
    target.write_text("old")
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    with pytest.raises(ResourceError, match=r"'weights.safetensors': no space is left"):
        atomic_write(target, b"new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["weights.safetensors"]


def test_a_write_that_the_kernel_cuts_short_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "big.bin"
    target.write_text("old")
    # A real limit of the kernel, in a process of its own: the first 1000 bytes go through, then the write fails.
    script = (
        "import resource, sys; from pathlib import Path; from quartet_shared.files import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: atomic_write(Path(sys.argv[1]), bytes(5000))\n"
        "except Exception as err: print(type(err).__name__, err)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ResourceError cannot use 'big.bin': the file would exceed the size limit")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["big.bin"]


def test_writing_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"'x.txt': the file or its folder does not exist"):
        atomic_write(tmp_path / "none" / "x.txt", "")


def test_writing_over_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(ResourceError, match="'x': a folder stands where a file is needed"):
        atomic_write(tmp_path / "x", "")
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "no space"),
        (errno.EDQUOT, "no space"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "not allowed"),
        (errno.ENOTDIR, "a file stands where a folder is needed"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_translated_error_names_the_file_but_not_its_folders(code: int, reason: str) -> None:
    message = str(os_error(OSError(code, os.strerror(code)), Path("/data/DOE^JANE/mask.png")))
    assert reason in message
    assert "'mask.png'" in message
    assert "DOE" not in message
    assert "\n" not in message


def test_a_folder_that_cannot_be_synced_is_no_error_but_a_broken_disk_is(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))
    fsync_dir(tmp_path)
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        fsync_dir(tmp_path)


@given(st.binary(max_size=2000))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_checksum_is_that_of_the_content(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_a_missing_folder_is_created_with_its_parents_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "a b" / "ü"
    assert require_writable_dir(folder) == folder
    assert names(folder) == []


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(ResourceError, match="'run': a file stands where a folder is needed"):
        require_writable_dir(tmp_path / "run")


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="'run': a file stands where a folder is needed"):
        require_writable_dir(tmp_path / "file" / "run")


def test_a_folder_where_no_file_can_be_made_is_refused() -> None:
    with pytest.raises(ResourceError, match="cannot use 'self'"):
        require_writable_dir(Path("/proc/self"))  # the kernel refuses root too


@pytest.mark.parametrize(("code", "reason"), [(errno.EROFS, "read-only"), (errno.ENOSPC, "no space is left")])
def test_a_read_only_or_full_disk_is_found_before_any_work(
    tmp_path: Path, monkeypatch, code: int, reason: str
) -> None:
    monkeypatch.setattr(os, "fsync", failing(code))
    with pytest.raises(ResourceError, match=reason):
        require_writable_dir(tmp_path)
    assert names(tmp_path) == []
