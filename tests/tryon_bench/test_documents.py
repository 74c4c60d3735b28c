"""What the documents claim is there: signatures, commands, presets, and the evidence behind every "yes"."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from tryon_bench import metrics
from tryon_bench.data.open import FORMATS
from tryon_bench.methods.catalogue import method_ids
from tryon_bench.protocol.presets import preset_names

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "packages" / "tryon_bench"
README = (PACKAGE / "README.md").read_text(encoding="utf-8")
FEATURES = (PACKAGE / "FEATURES.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in FEATURES.splitlines()
    if line.startswith("|") and not line.startswith("|-")
]


def shown(module: str, name: str) -> str:
    """A function's signature as the README writes it: arrays as NDArray whatever their type."""
    signature = inspect.signature(getattr(import_module(f"tryon_bench.{module}"), name))
    parts, starred = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        parts.append(f"{parameter.name}: {plain(parameter.annotation)}{default}")
    return f"{module}.{name}({', '.join(parts)}) -> {plain(signature.return_annotation)}"


def plain(annotation: str) -> str:
    return re.sub(r"NDArray\[[^\]]*\]", "NDArray", annotation)


def commands() -> dict[str, Any]:
    found = typer.main.get_command(import_module("tryon_bench.cli").app).commands  # type: ignore[attr-defined]
    return dict(found)


@pytest.mark.parametrize("name", metrics.__all__)
def test_the_readme_lists_every_metric_with_its_signature(name: str) -> None:
    assert shown("metrics", name) in README


def test_every_signature_in_the_readme_is_true() -> None:
    listed = re.findall(r"^((?:[a-z_]+\.)+)(\w+)\(.*$", README, flags=re.MULTILINE)
    assert len(listed) >= 25
    for module, name in listed:
        assert shown(module.rstrip("."), name) in README


def test_the_readme_lists_every_command_and_no_other() -> None:
    listed = set(re.findall(r"^\| `tryon-bench ([a-z-]+)", README, flags=re.MULTILINE))
    assert listed == set(commands())


def test_the_readme_names_every_format_preset_and_method() -> None:
    missing = [name for name in (*FORMATS, *preset_names(), *method_ids()) if f"`{name}`" not in README]
    assert missing == []


def test_every_flag_that_the_readme_names_exists() -> None:
    flags = {flag for c in commands().values() for option in c.params for flag in option.opts}
    flags |= {flag for c in commands()["assets"].commands.values() for option in c.params for flag in option.opts}
    torchrun = {"--nproc-per-node", "--nnodes", "--rdzv-backend", "--rdzv-endpoint"}
    assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", README)) <= flags | torchrun | {"--help"}


def test_the_feature_table_has_a_row_for_everything_and_one_column_per_peer() -> None:
    tables = [row for row in ROWS if row[0] == "feature"]
    assert len(tables) == 2
    assert all(row[-2:] == ["tryon-bench", "evidence"] for row in tables)
    assert all(len(row) in (len(tables[0]), len(tables[1])) for row in ROWS)


@pytest.mark.parametrize("row", [row for row in ROWS if row[-2] in ("yes", "partly")], ids=lambda row: row[0])
def test_every_yes_of_ours_is_backed_by_a_test_or_a_command(row: list[str]) -> None:
    evidence = re.findall(r"`([^`]+)`", row[-1])
    assert evidence, row
    for item in evidence:
        if item.startswith("tryon-bench "):
            assert item.split()[1] in commands(), item
        else:
            path, _, test = item.partition("::")
            source = (ROOT / "tests" / "tryon_bench" / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {test}\(", source, flags=re.MULTILINE), item


def test_what_we_lack_is_said_too() -> None:
    assert [row[0] for row in ROWS if row[-2] == "no"]
