"""A report is one safe file that says undefined where a value is undefined."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartet_shared.errors import ConfigError
from quartet_shared.report.figures import Series, line_chart_svg, overlay_png
from quartet_shared.report.html import Figure, Section, Table, render_report

PNG = overlay_png(np.zeros((4, 4)), np.zeros((4, 4), int), num_classes=2)


class Page(HTMLParser):
    """Tags with their attributes, and the text of the body's elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._skip = False
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        self._skip = tag == "style"

    def handle_endtag(self, tag) -> None:
        self._skip = False

    def handle_data(self, data) -> None:
        if not self._skip and data.strip():
            self.texts.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(*sections: Section, note: str = "") -> Page:
    return Page(render_report("report", sections, note=note))


EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"' {{ 7 * 7 }}"


def test_markup_from_outside_stays_text_everywhere() -> None:
    section = Section(EVIL, EVIL, [Table([EVIL, EVIL], [[EVIL, EVIL]], EVIL)], [Figure(PNG, EVIL, EVIL)])
    found = Page(render_report(EVIL, [section], note=EVIL))
    assert found.all("script") == []
    assert len(found.all("img")) == 1
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert found.texts.count(EVIL) == 11  # title, heading, note, section, text, caption, four cells, figure
    assert found.all("img")[0]["alt"] == EVIL


@settings(deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(
        lambda text: text == text.strip() != ""
    )
)
def test_any_text_is_shown_as_it_is(text: str) -> None:
    assert "".join(page(Section(text)).texts).count(text) >= 1


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    svg = line_chart_svg([Series("a", [0, 1], [0, 1])], x_label="step", y_label="loss")
    found = page(Section("x", figures=[Figure(PNG, "c", "a"), Figure(svg, "c", "a")]))
    addresses = [a.get("src") or a.get("href") for _, a in found.tags if "src" in a or "href" in a]
    assert [address.split(",")[0] for address in addresses] == [
        "data:image/png;base64",
        "data:image/svg+xml;base64",
    ]
    policy = [a["content"] for a in found.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert "url(" not in render_report("x", [Section("x")])


def test_pictures_are_carried_whole_and_described() -> None:
    image = page(Section("x", figures=[Figure(PNG, "caption", "what it shows")])).all("img")[0]
    assert base64.b64decode(image["src"].partition(",")[2]) == PNG
    assert image["alt"] == "what it shows"


def test_only_a_wide_picture_scrolls_on_a_phone() -> None:
    def classes(height: int, width: int) -> list[str | None]:
        png = overlay_png(np.zeros((height, width)), np.zeros((height, width), int), num_classes=2)
        return [image.get("class") for image in page(Section("x", figures=[Figure(png, "c", "a")])).all("img")]

    assert classes(100, 800) == ["wide"]
    assert classes(800, 800) == classes(100, 200) == [None]


def test_bytes_that_are_no_png_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected PNG bytes or SVG text, got bytes b'<html>'"):
        Figure(b"<html>", "c", "a")


@pytest.mark.parametrize("cell", [None, float("nan"), np.float64("nan"), "undefined", "undefined: one value"])
def test_a_value_that_does_not_exist_is_called_undefined(cell: object) -> None:
    found = page(Section("x", tables=[Table(["case", "dice"], [["a", cell], ["b", 0.5]])]))
    assert any(text.startswith("undefined") for text in found.texts)
    assert "nan" not in " ".join(found.texts).lower()
    assert [a["class"].split() for a in found.all("td")] == [["number", "undefined"], ["number"]]


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [
        ([1, 2], True),
        ([0.5, None], True),
        (["1,234", "-0.5"], True),
        (["0.65 to 0.78", "undefined: one value"], True),
        (["3 (+ 2 absent)", "none"], True),
        (["[0.1, 0.2]", "±3"], True),
        (["12 %", "3.4 mm"], True),
        (["liver", "1"], False),
        (["3D UNet", "2.5D"], False),
        (["undefined", None], False),
        ([], False),
    ],
)
def test_columns_of_numbers_are_aligned_right(cells: list, numeric: bool) -> None:
    assert Table(["name", "value"], [["1", cell] for cell in cells]).numeric == [False, numeric]


def test_numbers_are_shown_with_four_digits_and_text_as_given() -> None:
    assert Table(["a", "b", "c"], [["x", 0.123456, "0.500"]]).texts == [["x", "0.1235", "0.500"]]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="row 2 has 1 cells, expected 2"):
        Table(["a", "b"], [["x", 1], ["y"]])


def test_tables_can_be_read_by_a_screen_reader_and_scrolled_by_key() -> None:
    found = page(Section("Scores", tables=[Table(["case", "dice"], [["a", 0.5]])]))
    assert [cell["scope"] for cell in found.all("th")] == ["col", "col", "row"]
    region = next(a for a in found.all("div") if a.get("role") == "region")
    assert (region["tabindex"], region["aria-label"]) == ("0", "Scores")


def test_paragraphs_are_split_at_empty_lines_and_the_note_comes_first() -> None:
    found = page(Section("Title", "one\nstill one\n\n  \ntwo"), note="limits")
    assert found.texts == ["report", "report", "limits", "Title", "one\nstill one", "two"]


def test_both_themes_phones_and_paper_are_styled() -> None:
    html = render_report("x", [])
    assert "@media (prefers-color-scheme: dark)" in html
    assert "@media print" in html
    assert re.search(r'name="viewport" content="width=device-width', html)
