"""The registry: complete, consistent with what the survey's plots imply, queryable, drawn."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import kendalltau
from typer.testing import Result

from tryon_bench._shared.errors import ConfigError
from tryon_bench.registry.figure import plot_over_time, trend
from tryon_bench.registry.query import find_methods, find_published, find_results, load_registry, method_named
from tryon_bench.registry.schema import Registry

ROOT = Path(__file__).parents[3]


def values(dataset: str, metric: str, setting: str, region: str) -> dict[str, float]:
    rows = find_results(dataset=dataset, metric=metric, setting=setting, region=region)
    return {row.method: row.value for row in rows if not row.size}


def test_it_has_the_forty_methods_of_the_timeline_by_year() -> None:
    years = [method.year for method in load_registry().methods]
    assert len(years) == 40
    assert {year: years.count(year) for year in sorted(set(years))} == {
        **{2017: 1, 2018: 3, 2019: 6, 2020: 5, 2021: 9, 2022: 6, 2023: 7, 2024: 3},
    }


def test_slips_of_the_figure_are_kept_and_said() -> None:
    slips = {method.id for method in load_registry().methods if method.venue_note}
    assert slips == {"cit", "tpd"}


def test_every_panel_of_the_plots_is_there() -> None:
    panels = load_registry().panels
    assert sum(panel.dataset == "VITON" for panel in panels) == 20
    assert sum(panel.dataset == "VITON-HD" for panel in panels) == 16
    assert len({(p.dataset, p.metric, p.setting, p.region) for p in panels}) == 36
    assert all(len(p.values) == 7 for p in panels if p.dataset == "VITON-HD")
    assert all(len(p.values) in (11, 13) for p in panels if p.dataset == "VITON")


def test_the_regions_of_ssim_on_viton_hd_obey_the_identity_of_a_shared_constant_fill() -> None:
    whole, clothing, person = (values("VITON-HD", "ssim", "paired", r) for r in ("all", "clothing", "person"))
    residual = [(1 - clothing[m]) + (1 - person[m]) - (1 - whole[m]) for m in whole]
    assert min(residual) == pytest.approx(-0.0027, abs=2e-4)
    assert max(residual) == pytest.approx(0.0022, abs=2e-4)


def test_the_clothing_ssim_of_viton_is_marked_invalid_and_looks_it() -> None:
    rows = find_results(dataset="VITON", metric="ssim", setting="paired", region="clothing")
    assert not any(row.usable for row in rows)
    assert np.ptp([row.value for row in rows if not row.size]) < 0.0065
    assert len(find_results(dataset="VITON-HD", metric="lpips", setting="paired", region="person")) == 7
    assert not find_results(dataset="VITON-HD", metric="lpips", setting="paired", region="person")[0].usable


@pytest.mark.parametrize(
    ("first", "second", "tau"),
    [
        (("ssim", "paired", "all"), ("fid", "paired", "all"), -0.14),
        (("ssim", "paired", "all"), ("lpips", "paired", "all"), 0.52),
        (("fid", "paired", "all"), ("fid", "unpaired", "all"), 0.81),
    ],
)
def test_rankings_of_the_survey_disagree_as_its_plots_say(
    first: tuple[str, str, str], second: tuple[str, str, str], tau: float
) -> None:
    a, b = values("VITON-HD", *first), values("VITON-HD", *second)
    sign = [-1 if metric == "ssim" else 1 for metric, *_ in (first, second)]
    found = kendalltau([sign[0] * a[m] for m in a], [sign[1] * b[m] for m in a]).statistic
    assert found == pytest.approx(tau, abs=0.01)


def test_shares_of_the_grades_sum_to_one() -> None:
    for row in load_registry().grades.shares:
        total = sum((row.A, row.B, row.C, row.D, row.E))
        assert total == pytest.approx(1, abs=0.01)


def test_every_number_has_an_error_bar_and_a_source() -> None:
    for row in find_results():
        assert row.low < row.value < row.high
        assert "digitised" in row.source


def test_published_numbers_of_one_method_differ_up_to_threefold_in_lpips() -> None:
    lpips = [row.lpips for row in find_published("catvton") if row.lpips is not None]
    assert max(lpips) / min(lpips) == pytest.approx(3.3, abs=0.1)
    fid = [row.fid_paired for row in find_published("ootdiffusion") if row.fid_paired is not None]
    assert max(fid) / min(fid) == pytest.approx(5, abs=0.1)


def test_digitised_values_decide_no_other_test() -> None:
    """Only this file may read them, and it tests the data itself."""
    reads = re.compile(r"find_results|tryon_bench\.registry")
    readers = {
        path.name for path in (ROOT / "tests/tryon_bench").rglob("test_*.py") if reads.search(path.read_text())
    }
    assert readers == {"test_registry.py"}


def test_methods_are_found_by_any_name_and_by_their_properties() -> None:
    assert method_named("daflow").id == method_named("SDAFN").id == "sdafn"
    assert {m.id for m in find_methods(warp="stn")} >= {"dcton"}
    assert all(m.tryon_stage == "diffusion" for m in find_methods(stage="diffusion", since=2023))
    with pytest.raises(ConfigError, match="method 'nobody' is not in the registry"):
        method_named("nobody")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": ()}, "numbers for methods that the registry does not have"),
        ({"methods": load_registry().methods + load_registry().methods[:1]}, "stands in the registry twice"),
    ],
)
def test_tables_that_do_not_fit_each_other_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Registry.model_validate({**load_registry().model_dump(), **change})


def test_the_line_over_time_is_the_least_squares_line_without_the_large_size(tmp_path: Path) -> None:
    rows = find_results(dataset="VITON", metric="lpips", setting="paired", region="all")
    line = plot_over_time(rows, tmp_path / "plot.png")
    assert line is not None
    points = np.array([(row.year, row.value) for row in rows if not row.size])
    assert line[:2] == pytest.approx(np.polyfit(*points.T, 1))
    assert line.n == 11
    assert line.low < line.slope < line.high < 0  # LPIPS falls
    assert (tmp_path / "plot.png").stat().st_size > 5000
    assert trend(rows[:2]) is None
    with pytest.raises(ConfigError, match="2 panels fit"):
        plot_over_time(find_results(metric="lpips", setting="paired", region="all"), tmp_path / "b.png")
    with pytest.raises(ConfigError, match="expected a name ending in"):
        plot_over_time(rows, tmp_path / "plot.gif")


def test_registry_from_the_command_line(tmp_path: Path, run_cli: Callable[..., Result]) -> None:
    document = json.loads(run_cli("registry", "methods", "--tag", "high_res", "--json").stdout)
    assert {row["id"] for row in document["rows"]} == {"viton-hd", "hr-viton", "kgi", "cotton"}
    panel = ("--dataset", "VITON-HD", "--metric", "fid", "--setting", "unpaired", "--region", "all")
    result = run_cli("registry", "results", *panel, "--plot", tmp_path / "fid.svg")
    assert "StableVITON" in result.stdout
    assert "source: digitised" in result.stdout
    assert "a year" in result.stdout
    assert len(json.loads(run_cli("registry", "grades", "--json").stdout)["rows"]) == 11
    assert "PROMO" in run_cli("registry", "published", "--method", "catvton").stdout
    assert "is no filter of this table" in run_cli("registry", "grades", "--tag", "cycle").stderr
