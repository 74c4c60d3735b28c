from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quartet_shared.errors import ConfigError, DataError
from quartet_shared.metrics.overlap import dice, iou
from quartet_shared.metrics.segmentation import ClassScores, class_masks, evaluate_case, summarise
from quartet_shared.metrics.surface import assd, hd95, surface_distances

CLASSES = {1: "liver", 2: "spleen", 3: "kidney", 5: "aorta"}
SPACING = (1.0, 2.0, 5.0)
NAN = math.nan


@pytest.fixture
def case():
    """One class per status in a 4 x 3 x 2 grid: 1 defined, 2 missed, 3 false positive, 5 absent from both."""
    pred, ref = np.zeros((2, 4, 3, 2), np.int16)
    ref[0, 0], pred[0, 0, 0] = 1, 1  # two reference voxels, one of them predicted
    ref[1, :2], pred[2, 0] = 2, 3  # four voxels missed; two invented
    return pred, ref


def rows_of(case, **options):
    rows = evaluate_case(*case, case_id="c", classes=CLASSES, spacing_mm=SPACING, **options)
    return {row.name: row for row in rows}


def assert_values(row, **expected):
    assert set(row.values) == set(expected)
    for name, value in expected.items():
        assert row.values[name] == pytest.approx(value, nan_ok=True), name


def test_every_status_has_its_documented_values(case):
    rows = rows_of(case)
    assert {name: row.status for name, row in rows.items()} == {
        "liver": "defined",
        "spleen": "missed",
        "kidney": "false_positive",
        "aorta": "both_empty",
    }
    ml = 10 / 1000  # one voxel
    assert_values(
        rows["liver"],
        dice=2 / 3,
        iou=1 / 2,
        nsd=2 / 3,  # the unpredicted voxel is 5 mm away, the tolerance is 2 mm
        hd95_mm=0.95 * 5,  # percentile 95 of (0, 5)
        assd_mm=5 / 3,
        volume_error_ml=-ml,
        volume_error_relative=-0.5,
    )
    empty = {"dice": 0, "iou": 0, "nsd": 0, "hd95_mm": NAN, "assd_mm": NAN}
    assert_values(rows["spleen"], **empty, volume_error_ml=-4 * ml, volume_error_relative=-1)
    assert_values(rows["kidney"], **empty, volume_error_ml=2 * ml, volume_error_relative=NAN)
    assert_values(rows["aorta"], **dict.fromkeys(rows["liver"].values, NAN))


def test_policy_worst_puts_the_grid_diagonal_for_lost_distances_only(case):
    undefined, worst = rows_of(case), rows_of(case, empty="worst")
    diagonal = math.sqrt(4**2 + 6**2 + 10**2)
    for name in ("spleen", "kidney"):
        assert_values(worst[name], **{**undefined[name].values, "hd95_mm": diagonal, "assd_mm": diagonal})
    for name in ("liver", "aorta"):
        assert_values(worst[name], **undefined[name].values)
    assert {row.policy for row in worst.values()} == {"worst"}


def test_pooled_hd95_has_its_own_name(case):
    liver = rows_of(case, hd95_definition="pooled")["liver"]
    assert "hd95_mm" not in liver.values
    assert liver.values["hd95_pooled_mm"] == pytest.approx(np.percentile([0, 0, 5], 95))


def test_images_of_unknown_scale_are_measured_in_pixels():
    pred, ref = np.zeros((2, 5, 5), np.uint8)
    pred[0, 0], ref[0, 3] = 1, 1
    row = evaluate_case(pred, ref, case_id="c", classes={1: "polyp"}, spacing_mm=None, tolerance=3.0)[0]
    assert_values(row, dice=0, iou=0, nsd=1, hd95_px=3, assd_px=3, volume_error_relative=0)


def test_an_image_with_spacing_has_no_volume():
    image = np.ones((2, 2), np.uint8)
    row = evaluate_case(image, image, case_id="c", classes={1: "polyp"}, spacing_mm=(1, 1))[0]
    assert "volume_error_ml" not in row.values


def test_rows_carry_the_patient_or_else_the_case(case):
    assert {r.patient_id for r in rows_of(case, patient_id="p").values()} == {"p"}
    assert {r.patient_id for r in rows_of(case).values()} == {"c"}


@given(
    st.tuples(*[hnp.arrays(np.int8, (5, 4, 3), elements=st.sampled_from([0, 1, 2, 7]))] * 2),
)
def test_cropping_to_a_class_changes_no_score(pair):
    pred, ref = pair
    rows = evaluate_case(pred, ref, case_id="c", classes={1: "a", 2: "b", 7: "c"}, spacing_mm=SPACING)
    for row in rows:
        masks = pred == row.label, ref == row.label
        distances = surface_distances(*masks, SPACING)
        expected = [dice(*masks), iou(*masks), hd95(distances), assd(distances)]
        actual = [row.values[name] for name in ("dice", "iou", "hd95_mm", "assd_mm")]
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64])
def test_any_integer_dtype_is_accepted(dtype):
    labels = np.array([[0, 3], [1, 1]], dtype)
    found = {masks.label: int(masks.ref.sum()) for masks in class_masks(labels, labels, {1: "a", 3: "b"})}
    assert found == {1: 2, 3: 1}


def test_shape_mismatch_names_both_shapes():
    with pytest.raises(DataError, match=r"prediction \(2, 2\) and reference \(2, 3\)"):
        evaluate_case(np.zeros((2, 2), int), np.zeros((2, 3), int), case_id="c", classes=CLASSES, spacing_mm=None)


def test_labels_that_are_no_integers_are_refused():
    half = np.array([[0.0, 0.5]])
    with pytest.raises(DataError, match="prediction labels: expected an integer dtype, got float64"):
        evaluate_case(half, np.zeros((1, 2), int), case_id="c", classes=CLASSES, spacing_mm=None)


@pytest.mark.parametrize(("label", "shown"), [(4, "4"), (255, "255"), (-1, "-1")])
@pytest.mark.parametrize("side", ["prediction", "reference"])
def test_labels_outside_the_classes_are_named(label, shown, side):
    good, bad = np.zeros((1, 2), np.int16), np.array([[1, label]], np.int16)
    pair = (bad, good) if side == "prediction" else (good, bad)
    with pytest.raises(DataError, match=rf"{side} labels: expected 0 and \[1, 2, 3, 5\], got also \[{shown}\]"):
        evaluate_case(*pair, case_id="c", classes=CLASSES, spacing_mm=None)


def test_an_empty_grid_is_refused():
    with pytest.raises(DataError, match=r"at least one voxel, got shape \(0, 4\)"):
        evaluate_case(np.zeros((0, 4), int), np.zeros((0, 4), int), case_id="c", classes=CLASSES, spacing_mm=None)


@pytest.mark.parametrize("classes", [{}, {0: "background", 1: "liver"}])
def test_background_is_not_a_class(classes):
    with pytest.raises(ConfigError, match="labels from 1 up"):
        evaluate_case(np.zeros((2, 2), int), np.zeros((2, 2), int), case_id="c", classes=classes, spacing_mm=None)


@pytest.mark.parametrize("option", ["empty", "hd95_definition"])
def test_unknown_options_are_refused(case, option):
    with pytest.raises(ConfigError, match="got 'zero'"):
        rows_of(case, **{option: "zero"})


def row(case_id, label, value, status="defined", *, patient=None, policy="undefined"):
    return ClassScores(case_id, patient or case_id, label, f"class {label}", status, policy, {"dice": value})


def by_name(rows, **options):
    return {summary.name: summary for summary in summarise(rows, n_resamples=200, **options)}


def test_undefined_scores_are_counted_by_reason_and_enter_no_mean():
    rows = [row("a", 1, 0.5), row("b", 1, 0.75), row("c", 1, NAN, "both_empty"), row("d", 1, NAN, "missed")]
    summary = by_name([*rows, row("e", 1, NAN, "missed")])["class 1"]
    assert (summary.mean, summary.n, summary.n_patients) == (0.625, 2, 2)
    assert summary.undefined == {"both_empty": 1, "missed": 2}
    assert 0.5 <= summary.low <= 0.625 <= summary.high <= 0.75


def test_a_class_without_any_defined_score_has_no_mean():
    table = by_name([row("a", 1, NAN, "both_empty"), row("a", 2, 0.5), row("b", 2, 0.5)])
    assert math.isnan(table["class 1"].mean)
    assert table["class 1"].no_interval == "no defined value"
    overall = table["mean over classes"]
    assert (overall.mean, overall.n, overall.n_classes, overall.undefined) == (0.5, 2, 1, {"both_empty": 1})


def test_overall_mean_weighs_classes_equally():
    rows = [row("a", 1, 1.0), row("b", 1, 1.0), row("c", 1, 1.0), row("a", 2, 0.0)]
    assert by_name(rows)["mean over classes"].mean == 0.5


def test_cases_of_one_patient_are_no_independent_evidence():
    one = by_name([row(f"slice {i}", 1, i / 10, patient="p") for i in range(10)])["class 1"]
    assert (one.n, one.n_patients, one.no_interval) == (10, 1, "fewer than 2 patients")
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def test_summary_does_not_depend_on_which_class_comes_first():
    rows = [row("a", 1, 0.1), row("b", 1, 0.4), row("a", 2, 0.3), row("b", 2, 0.9)]
    assert by_name(rows)["mean over classes"].mean == by_name(rows[::-1])["mean over classes"].mean


def test_rows_of_two_policies_are_not_mixed():
    with pytest.raises(DataError, match=r"one empty-mask policy, got \['undefined', 'worst'\]"):
        summarise([row("a", 1, 0.1), row("b", 1, 0.4, policy="worst")])


def test_no_rows_are_refused():
    with pytest.raises(DataError, match="got no rows"):
        summarise([])
