"""Every package installs in every form and runs without the others and without the repository."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.workspace.environments import LOOK, PREDICT, make_environment, pip, run, sums
from tests.workspace.repository import PACKAGES, ROOT, clone

pytestmark = pytest.mark.slow

FORMS = ("wheel", "sdist", "folder", "editable", "git")


@pytest.fixture(scope="module")
def environment() -> Iterator[Path]:
    """One environment per worker, beside this one, because hard links do not cross file systems."""
    with tempfile.TemporaryDirectory(prefix="isolated-", dir=sys.prefix) as folder:
        yield make_environment(Path(folder))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheels and sdists of all packages; the checkout they were built from is gone."""
    folder = tmp_path_factory.mktemp("dist")
    checkout = clone(tmp_path_factory.mktemp("gone") / "quartet")
    for name in PACKAGES:
        command = [sys.executable, "-m", "uv", "build", "--quiet", "--offline", "--no-build-isolation"]
        command += ["--python", sys.executable, "--out-dir", str(folder), str(checkout / "packages" / name)]
        subprocess.run(command, check=True)
    shutil.rmtree(checkout)
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone(tmp_path_factory.mktemp("path with spaces") / "quartet")


@pytest.fixture
def requirement(request: pytest.FixtureRequest, form: str, name: str) -> list[str]:
    """What pip is given for a form of installation."""
    if form == "wheel":
        return [str(next(request.getfixturevalue("built").glob(f"{name}-*.whl")))]
    if form == "sdist":
        return [str(next(request.getfixturevalue("built").glob(f"{name}-*.tar.gz")))]
    checkout = request.getfixturevalue("checkout")
    folder = str(checkout / "packages" / name)
    if form == "git":
        return [f"{name.replace('_', '-')} @ git+{checkout.as_uri()}#subdirectory=packages/{name}"]
    return ["--editable", folder] if form == "editable" else [folder]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", PACKAGES)
def test_package_runs_alone(
    environment: Path, checkout: Path, requirement: list[str], form: str, name: str
) -> None:
    dist = name.replace("_", "-")
    pip(environment, "install", "--no-deps", "--no-build-isolation", *requirement)
    try:
        look = json.loads(run(environment, "-I", "-c", LOOK, name))
        assert look["shared"] == sums(checkout / "shared/src/quartet_shared")
        assert look["alone"], "quartet_shared must not be needed"
        assert not Path(look["package"]).is_relative_to(ROOT / "packages")
        assert "Usage" in run(environment, str(environment.with_name(dist)), "--help")
        if (name, form) == ("mslaunet", "wheel"):
            assert run(environment, "-I", "-c", PREDICT) == "(1, 3, 72, 56)\n"
    finally:
        pip(environment, "uninstall", "--yes", dist)


def test_a_checkout_without_links_is_refused_with_the_remedy(tmp_path: Path) -> None:
    checkout = clone(tmp_path / "quartet")
    link = checkout / "packages/cmcgns/src/cmcgns/_shared"
    link.unlink()
    link.write_text("../../../../shared/src/quartet_shared")  # what git leaves where links are off
    command = [sys.executable, "-m", "uv", "build", "--wheel", "--offline", "--no-build-isolation"]
    command += ["--python", sys.executable, "--out-dir", str(tmp_path / "dist"), str(checkout / "packages/cmcgns")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode != 0
    assert "core.symlinks=true" in result.stderr
