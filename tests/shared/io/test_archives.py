"""Archives: engineering.md 4.3, cases 27 and 28."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quartet_shared.errors import ConfigError, DataError, ResourceError
from quartet_shared.io import archives
from quartet_shared.io.archives import Limits, damaged_files, extract, is_complete, tar_entries

FILES = {"data/a.txt": b"alpha" * 100, "data/sub/b.bin": bytes(range(256)), "LICENSE": b"free"}


def make_zip(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes] = FILES, extra: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return path


MAKERS = {"a.zip": make_zip, "a.tar": make_tar, "a.tar.gz": make_tar, "a.whl": make_zip, "a.tgz": make_tar}


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != archives.MARKER)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def assert_nothing_left(folder: Path, archive: Path) -> None:
    assert [p.name for p in folder.iterdir()] == [archive.name]


@pytest.mark.parametrize("name", MAKERS)
def test_archive_is_unpacked_and_marked(tmp_path: Path, name: str) -> None:
    target = extract(MAKERS[name](tmp_path / name), tmp_path / "out")
    assert contents(target) == FILES
    assert is_complete(target)
    assert damaged_files(target) == []


def test_chosen_members_are_unpacked_without_leading_folders(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar", {f"pkg-1.0/{name}": data for name, data in FILES.items()})
    target = extract(archive, tmp_path / "out", members=["data/*", "LIC*"], strip=1)
    assert contents(target) == FILES
    target = extract(archive, tmp_path / "some", members=["*.txt"], strip=2)
    assert contents(target) == {"a.txt": FILES["data/a.txt"]}


def test_absent_member_is_a_data_error(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip")
    with pytest.raises(DataError, match=r"^a\.zip: holds no model/\*"):
        extract(archive, tmp_path / "out", members=["data/*", "model/*"])
    assert_nothing_left(tmp_path, archive)


def linked(kind: bytes, target: str = "/etc/passwd") -> Callable[[Path], Path]:
    info = tarfile.TarInfo("data/link")
    info.type, info.linkname = kind, target
    return lambda path: make_tar(path, extra=(info,))


def zip_link(path: Path) -> Path:
    make_zip(path)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("data/link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    return path


def zip_twice(path: Path) -> Path:
    make_zip(path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("LICENSE", b"other")
    return path


OUTSIDE = ["../x", "a/../../x", "/etc/x", "..\\x", "C:x"]


def named(maker: Callable[..., Path], name: str) -> Callable[[Path], Path]:
    return lambda path: maker(path, {**FILES, name: b"x"})


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        *[
            ("a.zip", named(make_zip, bad), "member 4 is named")
            for bad in ("../x", "a/../../x", "/etc/x", "..\\x", "C:x")
        ],
        *[
            ("a.tar", named(make_tar, bad), "member 4 is named")
            for bad in ("../x", "a/../../x", "/etc/x", "..\\x", "C:x")
        ],
        ("a.tar.gz", linked(tarfile.SYMTYPE), "member 4 is a link, device"),
        ("a.tar", linked(tarfile.SYMTYPE, "a.txt"), "member 4 is a link, device"),
        ("a.tar", linked(tarfile.LNKTYPE, "LICENSE"), "member 4 is a link, device"),
        ("a.tar", linked(tarfile.CHRTYPE), "member 4 is a link, device"),
        ("a.tar", linked(tarfile.BLKTYPE), "member 4 is a link, device"),
        ("a.tar", linked(tarfile.FIFOTYPE), "member 4 is a link, device"),
        ("a.zip", zip_link, "member 4 is a link or device"),
        ("a.zip", zip_twice, "member 4 has the name of another"),
        ("a.tar", named(make_tar, "./LICENSE"), "member 4 has the name of another"),
        ("a.tar", named(make_tar, "data"), "member 4 has the name of another"),
        ("a.tar", named(make_tar, "LICENSE/x"), "member 4 has the name of another"),
        ("a.tar", named(make_tar, "x" * 300), "member 4 is named at greater length"),
        ("a.zip", named(make_zip, "x/" * 600 + "x"), "member 4 is named at greater length"),
        ("a.tar", named(make_tar, archives.MARKER), "member 4 has the name of another"),
        ("a.zip", named(lambda p, f: make_zip(p, {**f, "bomb": bytes(10**7)}), "y"), "for an archive of"),
        ("a.tar.gz", named(lambda p, f: make_tar(p, {**f, "bomb": bytes(10**7)}), "y"), "for an archive of"),
    ],
)
def test_unsafe_archive_is_refused_whole(
    tmp_path: Path, name: str, make: Callable[[Path], Path], message: str
) -> None:
    archive = make(tmp_path / name)
    with pytest.raises(DataError, match=message):
        extract(archive, tmp_path / "out")
    assert_nothing_left(tmp_path, archive)


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(max_members=2), "more than 2 members"),
        (Limits(max_bytes=700), "takes the unpacked size to 756 bytes"),
    ],
)
def test_limits_are_kept(tmp_path: Path, name: str, limits: Limits, message: str) -> None:
    archive = MAKERS[name](tmp_path / name)
    with pytest.raises(DataError, match=message):
        extract(archive, tmp_path / "out", limits=limits)
    assert_nothing_left(tmp_path, archive)


def test_folders_count_as_members(tmp_path: Path) -> None:
    folders = []
    for i in range(20):
        info = tarfile.TarInfo(f"d{i}")
        info.type = tarfile.DIRTYPE
        folders.append(info)
    archive = make_tar(tmp_path / "a.tar", {}, tuple(folders))
    with pytest.raises(DataError, match="more than 10 members"):
        extract(archive, tmp_path / "out", limits=Limits(max_members=10))


def test_bomb_is_refused_from_its_declared_size_before_it_is_written(tmp_path: Path) -> None:
    info = tarfile.TarInfo("bomb")
    info.size = 2**40
    archive = tmp_path / "a.tar"
    archive.write_bytes(info.tobuf() + bytes(1024))
    with pytest.raises(DataError, match="takes the unpacked size to 1099511627776 bytes"):
        extract(archive, tmp_path / "out")
    assert_nothing_left(tmp_path, archive)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
def test_name_that_unpacks_to_gigabytes_is_refused_with_little_memory(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, 2**31
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(2**24)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"^a\.tar\.gz: damaged"):
            extract(archive, tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def test_zip_with_an_enormous_table_is_refused_before_it_is_read(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with archive.open("wb") as file:
        file.write(b"PK\x01\x02")
        file.truncate(2**25)  # a sparse hole as the table of contents
        file.seek(0, 2)
        file.write(b"PK\x05\x06" + bytes(8) + (2**25).to_bytes(4, "little") + bytes(6))
    with pytest.raises(DataError, match=r"^a\.zip: damaged"):
        extract(archive, tmp_path / "out")


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "a.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match="member 1 is encrypted"):
        extract(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.8, 0.98])
def test_truncated_archive_leaves_nothing(tmp_path: Path, name: str, keep: float) -> None:
    archive = MAKERS[name](tmp_path / name)
    whole = archive.read_bytes()
    end = len(whole.rstrip(b"\0")) if name == "a.tar" else len(whole)  # a tar is padded with zeros
    archive.write_bytes(whole[: int(end * keep)])
    with pytest.raises(DataError, match="damaged or not a zip"):
        extract(archive, tmp_path / "out")
    assert_nothing_left(tmp_path, archive)


def test_damaged_header_in_the_middle_of_a_tar_is_not_taken_for_its_end(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar")
    data = bytearray(archive.read_bytes())
    data[1024] ^= 0xFF  # the name of the second member
    archive.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_flipped_bit_is_detected(tmp_path: Path, name: str) -> None:
    archive = MAKERS[name](tmp_path / name, {"noise": bytes(range(256)) * 4})
    data = bytearray(archive.read_bytes())
    data[-60 if name == "a.tar.gz" else 60] ^= 4
    archive.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        extract(archive, tmp_path / "out")


def test_existing_target_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="out: exists already"):
        extract(make_zip(tmp_path / "a.zip"), tmp_path / "out")


def test_interrupted_extraction_is_not_mistaken_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_zip(tmp_path / "a.zip")
    with monkeypatch.context() as patch:
        patch.setattr(archives.shutil, "rmtree", lambda *a, **k: None)  # killed: nothing can clean up
        patch.setattr(archives.os, "sync", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            extract(archive, tmp_path / "out")
    assert contents(tmp_path / ".partial-out")
    assert not (tmp_path / "out").exists()
    assert not is_complete(tmp_path / ".partial-out")
    assert contents(extract(archive, tmp_path / "out")) == FILES
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "out"]


def test_full_disk_is_a_resource_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zip(tmp_path / "a.zip")

    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives.os, "sync", full)
    with pytest.raises(ResourceError, match="no space is left"):
        extract(archive, tmp_path / "out")
    assert_nothing_left(tmp_path, archive)


def test_missing_archive_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^a\.zip: cannot be read \(No such file"):
        extract(tmp_path / "a.zip", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_changed_and_missing_files_are_found(tmp_path: Path) -> None:
    target = extract(make_zip(tmp_path / "a.zip"), tmp_path / "out")
    (target / "LICENSE").unlink()
    (target / "data" / "a.txt").write_bytes(b"alphb" * 100)
    assert damaged_files(target) == ["LICENSE", "data/a.txt"]


def test_unfinished_folder_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a completely unpacked archive"):
        damaged_files(tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated")


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["a.zip", "a.tar", "a.tar.gz"]),
    edits=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=6),
)
@example(name="a.zip", edits=[(586, 2)])  # a table of contents that starts before the file
@example(name="a.zip", edits=[(1628, 0)])  # an empty name
def test_mutated_archive_raises_nothing_but_data_error(
    folder: Path, name: str, edits: list[tuple[int, int]]
) -> None:
    archive = MAKERS[name](folder / name)
    data = bytearray(archive.read_bytes())
    for place, value in edits:
        data[place % len(data)] = value
    archive.write_bytes(data)
    target = folder / "out"
    try:
        extract(archive, target)
        archives.shutil.rmtree(target)
    except DataError:
        assert not target.exists()
    assert not (folder / ".partial-out").exists()


def test_tar_entries_say_where_each_file_lies(tmp_path: Path) -> None:
    archive = tmp_path / "shard.tar"
    with tarfile.open(archive, "w") as tar:
        for name, content in (("a.txt", b"first"), ("b.json", b"{}")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    raw = archive.read_bytes()
    entries = tar_entries(archive)
    assert [(e.name, raw[e.offset : e.offset + e.size]) for e in entries] == [
        ("a.txt", b"first"),
        ("b.json", b"{}"),
    ]


@pytest.mark.parametrize("damage", ["truncated", "text", "link"])
def test_tar_entries_refuse_what_is_no_plain_tar(tmp_path: Path, damage: str) -> None:
    archive = tmp_path / "shard.tar"
    with tarfile.open(archive, "w") as tar:
        info = tarfile.TarInfo("a.txt")
        if damage == "link":
            info.type, info.linkname = tarfile.SYMTYPE, "../b"
        info.size = 0 if damage == "link" else 2000
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    if damage != "link":
        archive.write_bytes(archive.read_bytes()[:900] if damage == "truncated" else b"no tar at all" * 90)
    with pytest.raises(DataError, match=r"shard\.tar"):
        tar_entries(archive)
