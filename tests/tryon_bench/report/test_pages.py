"""The pages in a real browser: a click sorts, filters and votes; and the tables for papers."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil

import pytest
from tests.tryon_bench.evaluations import CHEAP, plan

from tryon_bench._shared.errors import DataError
from tryon_bench.engine.curves import Curve
from tryon_bench.engine.evaluation import summarise
from tryon_bench.engine.run import run_plan
from tryon_bench.protocol.schema import Protocol
from tryon_bench.report.arena import KEY_FILE, read_votes, write_arena
from tryon_bench.report.page import write_report
from tryon_bench.report.tables import leaderboards, write_table
from tryon_bench.stats.bradley_terry import bradley_terry

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic", "--no-first-run"]


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    wanted = plan(folder / "images", 7, (CHEAP, Protocol(name="other", lpips=(), reduction="canvas")))
    run_plan(wanted, folder / "run", quiet=True)
    return summarise(wanted, folder / "run", data="list#1")


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium; install Debian's package of that name")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield opened
        opened.close()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(request, browser):
    width, height = request.param
    errors = []
    opened = browser.new_page(viewport={"width": width, "height": height}, accept_downloads=True)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield opened
    opened.close()
    assert errors == []


def methods(page) -> list[str]:
    return page.locator("table.leaderboard").first.locator("tbody th").all_inner_texts()


def test_a_click_sorts_best_first_and_another_one_turns_the_order(page, evaluation, tmp_path):
    page.goto(write_report(evaluation, tmp_path / "report.html").as_uri())
    head = page.locator("table.leaderboard").first.get_by_role("button", name="SSIM").first
    head.click()
    assert methods(page) == ["a", "b"]  # a adds less noise
    head.click()
    assert methods(page) == ["b", "a"]
    page.locator("table.leaderboard").first.get_by_role("button", name="colour difference").first.click()
    assert methods(page) == ["a", "b"]  # lower is better


def test_the_gallery_filters_and_its_pictures_are_inside_the_file(page, evaluation, tmp_path):
    page.goto(write_report(evaluation, tmp_path / "report.html").as_uri())
    everything = page.locator("article.case").count()
    assert everything == 7
    page.locator("#filter-method").select_option("b")
    page.locator("#filter-metric").select_option("psnr")
    page.locator("#filter-region").select_option("all")
    assert page.locator("article.case").count() == 4
    assert "4 of 7 pairs" in page.locator("#shown").inner_text()
    assert (
        page.locator("article.case img").first.evaluate("image => image.decode().then(() => image.naturalWidth)")
        > 0
    )


def test_the_page_is_not_wider_than_its_window(page, evaluation, tmp_path):
    page.goto(write_report(evaluation, tmp_path / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_page_has_stamp_interval_and_no_foreign_address(evaluation, tmp_path):
    text = write_report(evaluation, tmp_path / "report.html").read_text(encoding="utf-8")
    assert CHEAP.stamp in text
    assert "95 % intervals" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def test_names_from_outside_are_escaped(evaluation, tmp_path):
    import dataclasses

    hostile = dataclasses.replace(evaluation, data="</script><script>alert(1)</script>")
    text = write_report(hostile, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in text


def test_votes_are_blind_exported_and_ranked(page, evaluation, tmp_path):
    path = write_arena(evaluation, tmp_path, duels=6)
    shown = path.read_text(encoding="utf-8")
    key = json.loads((tmp_path / KEY_FILE).read_text())
    assert '"method' not in shown
    page.goto(path.as_uri())
    for duel in key["duels"][:5]:  # prefer a
        page.locator("#vote-left" if duel["left"] == "a" else "#vote-right").click()
    page.keyboard.press("Escape")
    page.locator("#undo").click()
    page.locator("#vote-tie").click()
    last = key["duels"][5]
    page.locator("body").press("ArrowLeft" if last["left"] == "a" else "ArrowRight")
    assert page.locator("#arena").is_hidden()
    with page.expect_download() as download:
        page.locator("#export").click()
    download.value.save_as(tmp_path / "votes.json")
    votes = read_votes(tmp_path / KEY_FILE, [tmp_path / "votes.json"])
    assert [vote.winner for vote in votes] == ["a"] * 4 + ["", "a"]
    assert bradley_terry(votes)[0].method == "a"


def test_votes_of_another_arena_are_refused(evaluation, tmp_path):
    write_arena(evaluation, tmp_path, duels=3)
    (tmp_path / "votes.json").write_text('{"arena": "other", "votes": []}')
    with pytest.raises(DataError, match=r"votes\.json: votes of arena other"):
        read_votes(tmp_path / KEY_FILE, [tmp_path / "votes.json"])
    (tmp_path / "votes.json").write_text("[1]")
    with pytest.raises(DataError, match=r"votes\.json: not an export"):
        read_votes(tmp_path / KEY_FILE, [tmp_path / "votes.json"])


def test_the_page_draws_the_distance_against_the_number_of_images(evaluation, tmp_path):
    without = write_report(evaluation, tmp_path / "without.html").read_text()
    assert "number of images" not in without
    curves = tuple(
        Curve(name, evaluation.protocols[0]["stamp"], "fid_clean", "all", [10, 20, 40], [9.0, 7.0, 6.0], limit)
        for name, limit in (("a", 4.321), ("b", 5.432))
    )
    page = write_report(dataclasses.replace(evaluation, curves=curves), tmp_path / "with.html").read_text()
    assert page.count("FID (clean), cheap#") >= 1
    assert "Extrapolated from up to 40 images: a 4.321; b 5.432." in page


def test_tables_never_mix_protocols(evaluation):
    boards = leaderboards(evaluation)
    assert [board.protocol for board in boards] == [p["stamp"] for p in evaluation.protocols]


def test_the_forms_of_a_table_hold_the_same_numbers(evaluation):
    board = leaderboards(evaluation)[0]
    value = board.cells["a"]["psnr", "all"].value
    rows = list(csv.DictReader(io.StringIO(write_table(board, "csv"))))
    assert (
        float(next(r["value"] for r in rows if (r["method"], r["metric"], r["region"]) == ("a", "psnr", "all")))
        == value
    )
    assert f"{value:.4g}" in write_table(board, "markdown")
    latex = write_table(board, "latex")
    assert rf"\# {board.protocol}" not in latex
    assert board.protocol.replace("#", r"\#") in latex
    assert latex.count(r"\\") == 3
    assert json.loads(write_table(board, "json"))["protocol"] == board.protocol
