"""The files that a visitor expects exist, and the local links in them lead somewhere."""

from __future__ import annotations

import re

import pytest
from tests.workspace.repository import PACKAGES, ROOT, project, tracked_files

TOP = [
    ".ci/run",
    ".github/workflows/ci.yml",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "pyproject.toml",
    "uv.lock",
]
PAGES = [path for path in tracked_files() if path.suffix == ".md"]


@pytest.mark.parametrize("name", TOP)
def test_top_level_file_exists(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


@pytest.mark.parametrize("name", PACKAGES)
def test_package_has_its_documents_and_the_marker_of_typed_code(name: str) -> None:
    folder = ROOT / "packages" / name
    for document in ("README.md", "CHANGELOG.md", "PARITY.md", "LICENSE"):
        assert (folder / document).stat().st_size > 0
    assert (folder / "src" / name / "py.typed").exists()
    assert (folder / "src" / name / "_shared").readlink().as_posix() == "../../../../shared/src/quartet_shared"


@pytest.mark.parametrize("folder", [*(f"packages/{name}" for name in PACKAGES), "shared"])
def test_changelog_has_a_place_for_what_comes_next(folder: str) -> None:
    text = (ROOT / folder / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[([^\]]+)\]", text, flags=re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1:] == [] or headings[1] == project(folder)["version"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_local_links_lead_somewhere(page) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_ci_runs_what_a_user_runs() -> None:
    assert "make test-all" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "make test-all" in (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
