"""Downloads through the user's own installers: real pip on a local folder, stand-ins for npm, apt-get and dpkg-deb."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from quartet_shared import downloads
from quartet_shared.downloads import download, open_deb
from quartet_shared.errors import DataError, ResourceError

METADATA = "Metadata-Version: 2.1\nName: quartet-canary\nVersion: 1.0\nRequires-Dist: quartet-never-there\n"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only source."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_sdist(index: Path, canary: Path) -> Path:
    path = index / "quartet-canary-1.0.tar.gz"
    files = {
        "setup.py": f"open({str(canary)!r}, 'w').close()\nraise SystemExit('setup code was run')\n",
        "PKG-INFO": METADATA,
        "data/scan.txt": "scan",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"quartet-canary-1.0/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def make_wheel(index: Path) -> Path:
    """A wheel for a Python and a system that are not these."""
    path = index / "quartet_canary-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("quartet_canary-1.0.dist-info/METADATA", METADATA + "Requires-Python: <3\n")
        archive.writestr("quartet_canary-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        archive.writestr("quartet_canary-1.0.dist-info/RECORD", "")
    return path


def test_source_archive_comes_without_running_its_code(index: Path, target: Path, tmp_path: Path) -> None:
    source = make_sdist(index, tmp_path / "executed")
    file = download("pypi-sdist", "quartet-canary", "1.0", sha256(source), target)
    assert file.read_bytes() == source.read_bytes()
    assert not (tmp_path / "executed").exists()


def test_wheel_comes_whatever_this_interpreter_is(index: Path, target: Path) -> None:
    wheel = make_wheel(index)
    file = download("pypi-wheel", "quartet-canary", "1.0", sha256(wheel), target)
    assert (file.name, file.read_bytes()) == (wheel.name, wheel.read_bytes())


def test_package_of_another_checksum_is_refused(index: Path, target: Path, tmp_path: Path) -> None:
    make_sdist(index, tmp_path / "executed")
    with pytest.raises(DataError, match="not the pinned one"):
        download("pypi-sdist", "quartet-canary", "1.0", "0" * 64, target)
    assert not (tmp_path / "executed").exists()


def test_unknown_version_is_a_resource_error(index: Path, target: Path) -> None:
    make_wheel(index)
    with pytest.raises(ResourceError, match=r"pip failed with exit code 1: ERROR: .*quartet-canary==2\.0"):
        download("pypi-wheel", "quartet-canary", "2.0", "0" * 64, target)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(tools: Path, name: str, script: str) -> None:
    (tools / name).write_text(f"#!/bin/sh\n{script}\n")
    (tools / name).chmod(0o755)


def test_npm_package_comes_without_running_scripts(tools: Path, target: Path) -> None:
    install(tools, "npm", 'echo "$@" > package.tgz')
    file = download("npm", "@scope/models", "0.1", "0" * 64, target)
    assert file.read_text() == "pack --ignore-scripts @scope/models@0.1\n"


def test_debian_package_is_downloaded_and_opened_not_installed(tools: Path, target: Path) -> None:
    install(tools, "apt-get", 'echo "$@" > r-data_1.0_amd64.deb')
    install(tools, "dpkg-deb", 'echo "$@"')
    file = download("debian", "r-data", "1.0", "0" * 64, target)
    assert file.read_text() == "download r-data=1.0\n"
    assert open_deb(file).read_text() == "--fsys-tarfile r-data_1.0_amd64.deb\n"


@pytest.mark.parametrize(("registry", "tool"), [("npm", "npm"), ("debian", "apt-get")])
def test_missing_tool_is_named(tools: Path, target: Path, registry: downloads.Registry, tool: str) -> None:
    with pytest.raises(ResourceError, match=f"{tool} is needed for this download and is not installed"):
        download(registry, "p", "1", "0" * 64, target)


def test_without_pip_uv_runs_it(tools: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(downloads.sys, "executable", str(tools / "python"))
    with pytest.raises(ResourceError, match="pip or uv is needed"):
        download("pypi-wheel", "p", "1", "0" * 64, target)
    (target / "path").rename(target / "gone")
    install(tools, "uv", 'echo "$@" > p-1.whl')
    assert (
        download("pypi-wheel", "p", "1", "0" * 64, target)
        .read_text()
        .startswith("tool run pip download --no-deps")
    )


def test_complaint_of_a_tool_is_passed_on_without_addresses(tools: Path, target: Path) -> None:
    install(tools, "npm", "echo 'no such package' >&2; echo 'see https://user:secret@host/x' >&2; exit 7")
    with pytest.raises(ResourceError, match=r"npm failed with exit code 7: no such package; check") as err:
        download("npm", "p", "1", "0" * 64, target)
    assert "secret" not in str(err.value)


def test_tool_that_hangs_is_stopped(tools: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_TIMEOUT_S", 0.2)
    install(tools, "npm", "while :; do :; done")
    with pytest.raises(ResourceError, match="npm did not finish"):
        download("npm", "p", "1", "0" * 64, target)


def test_tool_that_leaves_no_file_is_a_resource_error(tools: Path, target: Path) -> None:
    install(tools, "npm", "exit 0")
    with pytest.raises(ResourceError, match="left 0 files, expected one"):
        download("npm", "p", "1", "0" * 64, target)
