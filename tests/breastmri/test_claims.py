"""The claims' statistics on made-up runs with a known answer, and a resumable miniature of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from breastmri import claims
from breastmri._shared.errors import ConfigError
from breastmri.claims import ClaimsPlan, claims_plan, claims_table, run_claims, summarise_claims

PLAN = ClaimsPlan(seeds=(1, 2, 3), recipes=("claims-bce", "claims-cmsl"), train_cases=16, test_cases=20)


def made_up(recipe, seed, shift, error):
    rng = np.random.default_rng(seed)
    labels = np.arange(40) % 2
    noise = rng.normal(size=40)
    scores = noise + shift * labels
    centres = {f"{name} {flips}": (e + rng.random(20)).tolist() for name, e in error.items() for flips in (1, 2)}
    from breastmri._shared.metrics.delong import delong

    return {
        "recipe": recipe,
        "seed": seed,
        "cpu_seconds": 20.0,
        "auc": delong(labels, scores).auc,
        "labels": labels.tolist(),
        "scores": scores.tolist(),
        "errors_mm": centres,
    }


@pytest.fixture
def summary():
    results = [
        made_up(recipe, seed, shift, error)
        for seed in PLAN.seeds
        for recipe, shift, error in (
            ("claims-bce", 0.5, {"coam": 20.0, "cam": 12.0, "enhancement": 3.0}),
            ("claims-cmsl", 2.0, {"coam": 4.0, "cam": 6.0, "enhancement": 3.0}),
        )
    ]
    return summarise_claims(results, PLAN)


def test_differences_are_paired_by_seed(summary):
    d = summary["auc_difference"]["claims-cmsl"]
    mean = summary["auc"]["claims-cmsl"]["mean"] - summary["auc"]["claims-bce"]["mean"]
    assert d["mean"] == pytest.approx(mean)
    assert d["low"] < mean < d["high"]
    assert 0 < d["delong_p"] < 0.05
    assert list(summary["auc_difference"]) == ["claims-cmsl"]


def test_errors_are_pooled_and_compared_on_the_same_cancers(summary):
    table = summary["centre_error_mm"]["claims-cmsl"]
    assert table["coam 2"]["n"] == 60
    assert 4 < table["coam 2"]["median"] < 5
    minus = summary["coam_minus_mm"]["claims-cmsl"]
    assert set(minus) == {"cam 2", "enhancement 2"}
    assert minus["cam 2"]["high"] < 0 < minus["enhancement 2"]["low"]
    assert minus["cam 2"]["p"] < 0.01
    assert summary["coam_recipes"]["claims-cmsl"]["median"] == pytest.approx(-16, abs=1)


def test_the_table_shows_every_recipe_and_localiser(summary):
    text = claims_table(summary)
    for word in ("claims-bce", "claims-cmsl", "coam 2", "cam 1", "enhancement 2", "DeLong p"):
        assert word in text


def test_the_committed_plan_has_five_seeds_that_were_not_tuned_on():
    plan = claims_plan()
    assert len(plan.seeds) == 5
    assert max(plan.seeds) < 100


@pytest.mark.slow
def test_finished_runs_are_kept_and_results_repeat(tmp_path, monkeypatch):
    def quick(model, path=None, sets=None, flags=None, **more):
        return original(model, path, sets, {**flags, "train.max_steps": 2}, **more)

    original = claims.load_config
    monkeypatch.setattr(claims, "load_config", quick)
    plan = ClaimsPlan(seeds=(201, 202), recipes=("claims-bce", "claims-cmsl"), train_cases=16, test_cases=20)
    first = run_claims(tmp_path, plan, quiet=True)
    with pytest.raises(ConfigError, match="continue with --resume"):
        run_claims(tmp_path, plan, resume=False, quiet=True)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/result.json")}
    assert len(stamps) == 4
    assert run_claims(tmp_path, plan, quiet=True) == first
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert (tmp_path / "claims.md").read_text() == claims_table(first)
