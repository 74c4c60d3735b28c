"""Pictures show what they are given."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from quartet_shared.errors import DataError
from quartet_shared.report.figures import PALETTE, Series, line_chart_svg, overlay_png, strip_chart_svg


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


def colour(label: int) -> list[int]:
    return list(bytes.fromhex(PALETTE[(label - 1) % len(PALETTE)][1:]))


def test_background_shows_the_image_and_a_class_its_colour() -> None:
    mask = np.array([[0, 2]])
    found = pixels(overlay_png(np.array([[0.2, 0.2]]), mask, num_classes=3, alpha=1.0))
    assert found.tolist() == [[[51, 51, 51], colour(2)]]


def test_areas_are_mixed_and_their_borders_opaque() -> None:
    mask = np.zeros((7, 7), int)
    mask[1:6, 1:6] = 1
    found = pixels(overlay_png(np.ones((7, 7)), mask, num_classes=2, alpha=0.5))
    assert found[1, 1].tolist() == colour(1)
    np.testing.assert_allclose(found[3, 3], (255 + np.array(colour(1))) / 2, atol=1)


def test_without_outline_an_area_is_even() -> None:
    found = pixels(overlay_png(np.ones((4, 4)), np.eye(4, dtype=int), num_classes=2, outline=False))
    assert len(np.unique(found[np.eye(4) > 0], axis=0)) == 1


def test_an_area_at_the_edge_of_the_image_has_no_border_there() -> None:
    found = pixels(overlay_png(np.ones((4, 4)), np.ones((4, 4), int), num_classes=2))
    assert colour(1) not in found.reshape(-1, 3).tolist()


def test_a_colour_image_keeps_its_colours() -> None:
    image = np.array([[[1.0, 0.5, 0.0]]])
    assert pixels(overlay_png(image, np.zeros((1, 1), int), num_classes=2)).tolist() == [[[255, 128, 0]]]


@settings(deadline=None, max_examples=30)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
        lambda shape: st.tuples(
            hnp.arrays(np.float32, shape, elements=st.floats(width=32)),
            hnp.arrays(np.uint8, shape, elements=st.integers(0, 20)),
        )
    )
)
def test_any_image_and_mask_give_a_picture_of_their_size(pair) -> None:
    image, mask = pair
    assert pixels(overlay_png(image, mask, num_classes=21)).shape == (*mask.shape, 3)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match=r"image is \(4, 4\) and mask is \(4, 5\)"):
        overlay_png(np.zeros((4, 4)), np.zeros((4, 5), int), num_classes=2)


@pytest.mark.parametrize("label", [-1, 3])
def test_ids_outside_the_classes_are_refused(label: int) -> None:
    with pytest.raises(DataError, match=f"{label}.*expected 0 to 2"):
        overlay_png(np.zeros((2, 2)), np.full((2, 2), label), num_classes=3)


def chart() -> str:
    series = [Series("train <b>", [0, 1, 2], [1.0, float("nan"), 0.5]), Series("validation", [0, 2], [1.0, 0.7])]
    return line_chart_svg(series, x_label="step", y_label="loss")


def test_a_chart_names_its_axes_and_lines_as_text() -> None:
    root = ElementTree.fromstring(chart())  # noqa: S314  (our own file)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"step", "loss", "train <b>", "validation"} <= set(texts)


def test_a_chart_takes_the_readers_theme() -> None:
    svg = chart()
    assert "currentColor" in svg
    assert "prefers-color-scheme:dark" in svg
    assert "#ffffff" not in svg.lower()
    assert "#000000" not in svg


def test_the_same_chart_is_the_same_file() -> None:
    assert chart() == chart()


def test_a_strip_chart_has_a_line_per_group_and_a_dot_per_defined_value() -> None:
    svg = strip_chart_svg({"liver": [0.5, 0.9, float("nan")], "spleen": []}, x_label="Dice")
    root = ElementTree.fromstring(svg)  # noqa: S314  (our own file)
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"liver", "spleen", "Dice"} <= texts
    dots = [e for e in root.iter("{http://www.w3.org/2000/svg}g") if e.get("id", "").startswith("PathCollection")]
    assert len(list(dots[0].iter("{http://www.w3.org/2000/svg}use"))) == 2
