"""A package declares exactly what its own modules reach, directly and through `_shared`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.workspace.imports import SHARED, distributions, reached
from tests.workspace.repository import PACKAGES, ROOT, project

MEMBERS = [*((f"packages/{name}", name) for name in PACKAGES), ("shared", "quartet_shared")]
TABLE = (
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "monai",
    "diffusers",
    "open-clip-torch",
    "lpips",
    "torchmetrics",
    "scikit-learn",
    "nibabel",
    "typer",
)


def source(folder: str, name: str) -> Path:
    return ROOT / folder / "src" / name


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(requirement).name) for requirement in requirements}


def declared(folder: str) -> set[str]:
    return names(project(folder).get("dependencies", []))


def extras(folder: str) -> set[str]:
    return {name for group in project(folder).get("optional-dependencies", {}).values() for name in names(group)}


@pytest.mark.parametrize(("folder", "name"), MEMBERS)
def test_declared_dependencies_are_those_that_are_imported(folder: str, name: str) -> None:
    assert declared(folder) | extras(folder) == distributions(reached(source(folder, name), name), name)


@pytest.mark.parametrize(("folder", "name"), MEMBERS)
def test_extras_are_imported_only_inside_functions(folder: str, name: str) -> None:
    at_import = reached(source(folder, name), name, at_import=True)
    assert not extras(folder) & distributions(at_import, name)
    assert not extras(folder) & declared(folder)


@pytest.mark.parametrize("name", PACKAGES)
def test_bounds_of_a_package_equal_those_of_shared(name: str) -> None:
    bounds = {Requirement(text).name: text for text in project("shared")["dependencies"]}
    ours = {Requirement(text).name: text for text in project(f"packages/{name}")["dependencies"]}
    assert {key: ours[key] for key in ours.keys() & bounds.keys()} == {
        key: bounds[key] for key in ours.keys() & bounds.keys()
    }


def test_shared_never_reaches_the_domain_frameworks() -> None:
    assert not {"monai", "diffusers", "transformers"} & distributions(
        reached(SHARED, "quartet_shared"), "quartet_shared"
    )


def test_the_table_of_the_readme_states_the_declared_dependencies() -> None:
    rows = re.findall(r"^\|(.+)\|$", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    cells = [[cell.strip(" `") for cell in row.split("|")] for row in rows]
    heading = next(i for i, row in enumerate(cells) if row[0] == "dependency")
    columns = [name.replace("-", "_") for name in cells[heading][1:]]
    assert sorted(columns) == sorted(PACKAGES)
    stated = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in cells[heading + 2 :][: len(TABLE)]}
    assert tuple(stated) == TABLE
    for dependency, row in stated.items():
        for package, mark in row.items():
            assert (mark == "yes") == (dependency in declared(f"packages/{package}")), (dependency, package)


@pytest.mark.parametrize(("folder", "name"), MEMBERS)
def test_members_take_the_pythons_of_the_workspace(folder: str, name: str) -> None:
    assert project(folder)["requires-python"] == project(".")["requires-python"]
