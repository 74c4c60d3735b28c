"""Agnostic persons hide the garment and nothing that has to stay, by each recipe, at every size."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tryon_bench._shared.errors import ConfigError, DataError
from tryon_bench.agnostic import RECIPES, Recipe, make
from tryon_bench.agnostic.body import completed, shoulder_width, straightened_hips
from tryon_bench.data.keypoints import COCO18_FROM_BODY25
from tryon_bench.data.labels import Category, Scheme, labels_named
from tryon_bench.resize import resize_mask
from tryon_bench.synth.cast import Actor, draw_actor
from tryon_bench.synth.files import body25
from tryon_bench.synth.scenes import Scene

SIZE = (512, 384)
UPPER_ONLY: tuple[Recipe, ...] = ("viton-hd", "hr-viton-v3.2", "cat-dm", "pose")


@cache
def person(
    number: int = 1, size: tuple[int, int] = SIZE, category: Category = "upper_body"
) -> tuple[Actor, Scene, NDArray[np.float64]]:
    """An actor, the photo, and the joints as `read_keypoints` gives them."""
    actor = draw_actor(number, size, 0, category)
    pose = body25(actor.figure)[COCO18_FROM_BODY25]
    pose[pose[:, 2] == 0] = np.nan
    return actor, actor.photo(), pose


def made(scene: Scene, pose: NDArray[Any], recipe: Recipe, **options: Any) -> Any:
    parse = None if recipe == "pose" else scene.parse("vitonhd")
    return make(scene.photo, parse, pose, recipe, person_mask=scene.names != "", **options)


# How much of face and trousers may be hidden: DressCode cuts the face at the shoulders' line, CatVTON smooths its
# mask over everything but face and hands, and without a parse nobody knows where chin and hem are.
HIDDEN = {"dresscode": (0.05, 0.02), "catvton": (0.02, 0.12), "pose": (0.25, 0.16)}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_garment_is_hidden_and_face_and_trousers_stay(recipe: Recipe, number: int) -> None:
    _, scene, pose = person(number)
    image, repaint, _ = made(scene, pose, recipe)
    face, trousers = HIDDEN.get(recipe, (0.0, 0.0))
    assert repaint[scene.garment_mask].mean() > (0.9 if recipe == "pose" else 0.97)
    assert repaint[scene.names == "face"].mean() <= face
    assert repaint[np.isin(scene.names, ["pants", "left leg", "right shoe"])].mean() <= trousers
    assert (image[repaint] == 128).all()
    np.testing.assert_array_equal(image[~repaint], scene.photo[~repaint])


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_small_mask_is_the_large_one_made_small(recipe: Recipe) -> None:
    _, scene, pose = person(2, (1024, 768))
    large, small = made(scene, pose, recipe).repaint, made(scene, pose, recipe, size=SIZE).repaint
    shrunk = resize_mask(large, SIZE)
    assert small.shape == SIZE
    assert (shrunk & small).sum() / (shrunk | small).sum() > 0.975


@pytest.mark.parametrize("recipe", ["viton-hd", "cat-dm", "hr-viton-v3.2"])
def test_the_viton_recipes_equal_a_drawing_by_distances(recipe: Recipe) -> None:
    _, scene, pose = person(1)
    parse, (height, width) = scene.parse("vitonhd"), SIZE
    joints, unit = pose[:, :2].copy(), height / 1024
    shoulders = np.linalg.norm(joints[5] - joints[2])
    radius = 20 * unit if recipe == "viton-hd" else (int(shoulders / unit / 16) + 1) * unit
    middle, hips = (joints[8] + joints[11]) / 2, np.linalg.norm(joints[11] - joints[8])
    for hip in (8, 11):
        joints[hip] = middle + (joints[hip] - middle) * shoulders / hips
    y, x = np.mgrid[:height, :width].astype(float)

    def line(a: int, b: int, thickness: float) -> NDArray[np.bool_]:
        along = joints[b] - joints[a]
        length = np.linalg.norm(along)
        dx, dy = x - joints[a, 0], y - joints[a, 1]
        t, n = (dx * along[0] + dy * along[1]) / length, (dx * along[1] - dy * along[0]) / length
        return (t >= 0) & (t <= length) & (np.abs(n) <= thickness / 2)

    def ellipse(joint: int, a: float, b: float) -> NDArray[np.bool_]:
        return ((x - joints[joint, 0]) / a) ** 2 + ((y - joints[joint, 1]) / b) ** 2 <= 1

    def quadrangle(*corners: int) -> NDArray[np.bool_]:
        sides = []
        for i, corner in enumerate(corners):
            (ax, ay), (bx, by) = joints[corner], joints[corners[(i + 1) % len(corners)]]
            sides.append((bx - ax) * (y - ay) - (by - ay) * (x - ax))
        return np.all([s >= 0 for s in sides], axis=0) | np.all([s <= 0 for s in sides], axis=0)

    def limbs(*, wrist: float) -> list[NDArray[np.bool_]]:
        shapes = []
        for shoulder, elbow, hand in ((2, 3, 4), (5, 6, 7)):
            for a, b in ((shoulder, elbow), (elbow, hand)):
                if np.isfinite(joints[[a, b]]).all():
                    reach = radius * (wrist if b == hand else 5)
                    shapes += [line(a, b, 10 * radius), ellipse(b, reach, reach)]
        return shapes

    shapes = [ellipse(8, 3 * radius, 6 * radius), ellipse(11, 3 * radius, 6 * radius), quadrangle(2, 5, 11, 8)]
    shapes += [line(2, 8, 6 * radius), line(5, 11, 6 * radius), line(8, 11, 12 * radius), *limbs(wrist=5)]
    neck_x, neck_y = joints[1]
    if recipe == "hr-viton-v3.2":
        shapes += [line(2, 5, 12 * radius), ellipse(2, 5 * radius, 6 * radius), ellipse(5, 5 * radius, 6 * radius)]
        shapes.append((np.abs(x - neck_x) <= 5 * radius) & (y >= neck_y - 9 * radius) & (y <= neck_y))
    else:
        shapes += [line(2, 5, 10 * radius), ellipse(2, 5 * radius, 5 * radius), ellipse(5, 5 * radius, 5 * radius)]
        shapes.append((np.abs(x - neck_x) <= 7 * radius) & (np.abs(y - neck_y) <= 7 * radius))
    expected = np.any(shapes, axis=0) & ~np.isin(parse, [4, 13, 9, 12, 16, 17, 18, 19])
    if recipe == "hr-viton-v3.2":
        erased = np.any(
            [*limbs(wrist=4), ellipse(2, 5 * radius, 6 * radius), ellipse(5, 5 * radius, 6 * radius)], axis=0
        )
        expected &= ~(np.isin(parse, [14, 15]) & ~erased)
    found = made(scene, pose, recipe).repaint
    assert (found & expected).sum() / (found | expected).sum() > 0.985


def close_up() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64]]:
    """Photo, parse and joints from head to hips, as VITON-HD's photos show them: arms are longer than the radii."""
    _, scene, pose = person(1, (1024, 768))
    cut = np.s_[:512, 192:576]
    return scene.photo[cut], scene.parse("vitonhd")[cut], pose - [192, 0, 0]


def test_hr_viton_puts_fingers_back_that_the_others_hide() -> None:
    photo, parse, pose = close_up()
    parse, forearm = parse.copy(), pose[4, :2] - pose[3, :2]
    fingers = np.zeros(SIZE, bool)
    for share in np.linspace(0.5, 0.8, 12):
        x, y = np.round(pose[4, :2] + share * forearm).astype(int)
        fingers[y - 2 : y + 3, x - 2 : x + 3] = True
    parse[fingers] = 15
    hidden = {r: make(photo, parse, pose, r).repaint[fingers].mean() for r in ("cat-dm", "hr-viton-v3.2")}
    assert hidden["cat-dm"] == 1
    assert hidden["hr-viton-v3.2"] < 0.3


@pytest.mark.parametrize("recipe", RECIPES)
def test_missing_joints_draw_nothing_towards_the_corner(recipe: Recipe) -> None:
    _, scene, pose = person(1)
    pose = np.nan_to_num(pose)
    pose[[3, 4, 7, 8, 11, 0]] = 0  # as OpenPose writes what it has not found
    repaint = made(scene, pose, recipe).repaint
    assert not repaint[: SIZE[0] // 20].any()
    assert repaint[scene.garment_mask].mean() > 0.75


def test_an_arm_without_its_wrist_is_drawn_to_the_elbow() -> None:
    actor, scene, pose = person(3)
    pose = pose.copy()
    wrist = np.round(actor.figure.joints[4]).astype(int)
    shown = pose.copy()
    shown[4] = [*actor.figure.joints[4], 0.9]
    pose[4] = np.nan
    radius = 6
    near = np.s_[wrist[1] - radius : wrist[1] + radius, wrist[0] - radius : wrist[0] + radius]
    assert made(scene, shown, "viton-hd").repaint[near].all()
    assert not made(scene, pose, "viton-hd").repaint[near].all()


def test_missing_neck_shoulder_and_hips_are_completed() -> None:
    pose = np.full((18, 3), np.nan)
    pose[[1, 5], :2] = [[50, 40], [70, 40]]
    joints = completed(pose, (200, 100))
    np.testing.assert_allclose(joints[[2, 8, 11]], [[30, 40], [30, 100], [70, 100]])
    pose[11, :2] = [66, 110]
    np.testing.assert_allclose(completed(pose, (200, 100))[8], [26, 110])
    pose[1] = np.nan
    pose[2, :2] = [30, 42]
    np.testing.assert_allclose(completed(pose, (200, 100))[1], [50, 41])


def test_hips_at_one_point_get_the_width_of_the_shoulders() -> None:
    pose = np.full((18, 2), np.nan)
    pose[[2, 5, 8, 11]] = [[30, 40], [70, 40], [50, 100], [50, 100]]
    joints = completed(pose, (200, 100))
    right, left = straightened_hips(joints)
    np.testing.assert_allclose([right, left], [[30, 100], [70, 100]])
    assert shoulder_width(joints) == 40


def test_the_agnostic_parse_has_no_top_and_keeps_hands_and_trousers() -> None:
    photo, parse, pose = close_up()
    x, y = np.round(pose[4, :2] + 0.4 * (pose[4, :2] - pose[3, :2])).astype(int)
    parse = parse.copy()
    parse[y : y + 6, x : x + 6] = 15
    hidden = make(photo, parse, pose).parse
    assert hidden is not None
    assert (hidden[y : y + 6, x : x + 6] == 15).all()
    assert not np.isin(hidden, [5, 6, 7, 10]).any()
    changed = hidden != parse
    assert (hidden[changed] == 0).all()
    assert np.isin(parse[changed], [5, 6, 7, 10, 14, 15]).all()
    assert changed[np.isin(parse, [14, 15])].mean() > 0.9
    np.testing.assert_array_equal(hidden[parse == 9], 9)


@pytest.mark.parametrize("recipe", [r for r in RECIPES if r not in UPPER_ONLY])
@pytest.mark.parametrize("category", ["lower_body", "dresses"])
def test_other_categories_hide_their_garment_and_keep_the_rest(recipe: Recipe, category: Category) -> None:
    _, scene, pose = person(1, SIZE, category)
    parse = scene.parse("atr")
    _, repaint, hidden = make(scene.photo, parse, pose, recipe, category=category, scheme="atr")
    assert repaint[scene.garment_mask].mean() > 0.97
    assert repaint[scene.names == "hair"].mean() < (0.2 if recipe == "ootd" else 0.02)
    if recipe != "catvton":  # which smooths its mask over shoes as small as these
        assert repaint[np.char.endswith(scene.names, "shoe")].mean() < 0.02
    if category == "lower_body":
        assert repaint[scene.names == "upper clothes"].mean() < 0.1
    np.testing.assert_array_equal(hidden, np.where(repaint, 0, parse))


def test_ladi_draws_arms_half_as_wide_on_dresscodes_labels_and_cuts_the_neck_there() -> None:
    _, scene, pose = person(2)
    wide = make(scene.photo, scene.parse("vitonhd"), pose, "ladi").repaint
    narrow = make(scene.photo, scene.parse("atr"), pose, "ladi", scheme="atr").repaint
    x, y = np.round(0.05 * pose[6, :2] + 0.95 * pose[7, :2]).astype(int)  # of a forearm that stands upright
    row = np.s_[y, x - 70 : x + 70]
    assert abs(wide[row].sum() - 110) <= 8  # 90 px, and 10 px on either side
    assert abs(narrow[row].sum() - 65) <= 8  # 45 px
    face = scene.names == "face"
    assert wide[face].mean() == 0 < narrow[face].mean()


@pytest.mark.parametrize("recipe", [r for r in RECIPES if r not in ("pose", "ladi")])
@pytest.mark.parametrize("scheme", ["lip", "vitonhd", "atr", "acgpn"])
def test_every_label_scheme_leads_to_nearly_the_same_mask(recipe: Recipe, scheme: Scheme) -> None:
    _, scene, pose = person(1)
    # necks are face in the schemes that have no word for them, so heads are left out of the comparison
    names = np.where(scene.names == "torso skin", "", scene.names)
    plain = Scene(scene.photo, names, scene.garment_mask, scene.repaint, scene.densepose, scene.uv)
    reference = make(scene.photo, plain.parse("vitonhd"), pose, recipe).repaint
    found = make(scene.photo, plain.parse(scheme), pose, recipe, scheme=scheme).repaint
    assert (found & reference).sum() / (found | reference).sum() > 0.97


def test_gp_vton_parts_are_tops_sleeves_and_trousers() -> None:
    _, scene, pose = person(1)
    parse = np.zeros(SIZE, np.uint8)
    for ours, theirs in (("upper clothes", "upper torso"), ("pants", "left pants"), ("face", "face")):
        parse[scene.names == ours] = next(iter(labels_named("gp-vton", theirs)))
    sleeve = scene.garment_mask & (np.indices(SIZE)[1] < pose[2, 0])
    parse[sleeve] = next(iter(labels_named("gp-vton", "right upper sleeve")))
    _, repaint, hidden = make(scene.photo, parse, pose, "hr-viton-v3.2", scheme="gp-vton")
    assert repaint[scene.garment_mask].mean() > 0.97
    assert repaint[scene.names == "pants"].mean() < 0.02
    assert not hidden[scene.garment_mask].any()


def test_catvton_takes_body_parts_of_densepose_where_given() -> None:
    _, scene, pose = person(2)
    parts = np.zeros(SIZE, np.uint8)
    parts[scene.garment_mask] = 2
    hand = (scene.names == "left arm") & (np.indices(SIZE)[0] < 60)
    parts[hand] = 4
    assert hand.any()
    with_parts = make(scene.photo, scene.parse("vitonhd"), pose, "catvton", densepose=parts).repaint
    assert with_parts[hand].mean() < 0.1
    assert with_parts[scene.garment_mask].mean() > 0.97


@pytest.mark.parametrize("recipe", UPPER_ONLY)
def test_recipes_for_tops_refuse_other_categories(recipe: Recipe) -> None:
    _, scene, pose = person(1)
    with pytest.raises(
        ConfigError, match=f"recipe {recipe} covers upper garments only; for dresses choose one of dres"
    ):
        made(scene, pose, recipe, category="dresses")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "viton"}, "recipe 'viton' is unknown; choose one of viton-hd"),
        ({"scheme": "cihp"}, "label scheme 'cihp' is unknown"),
        ({"category": "hats"}, "category 'hats' is unknown"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(change: dict[str, Any], message: str) -> None:
    _, scene, pose = person(1)
    options = {"recipe": "ladi", **change}
    with pytest.raises(ConfigError, match=message):
        make(scene.photo, scene.parse("vitonhd"), pose, **options)


def test_what_is_missing_or_of_another_size_is_said() -> None:
    _, scene, pose = person(1)
    with pytest.raises(DataError, match="recipe ootd needs a parse"):
        make(scene.photo, None, pose, "ootd")
    with pytest.raises(DataError, match=r"parse: \(10, 10\), the photo has \(512, 384\)"):
        make(scene.photo, np.zeros((10, 10), np.uint8), pose)
    with pytest.raises(DataError, match="shoulders are missing"):
        make(scene.photo, scene.parse("vitonhd"), np.zeros((18, 3)))
    with pytest.raises(DataError, match=r"pose: \(25, 3\), expected \(18, 2\)"):
        make(scene.photo, scene.parse("vitonhd"), np.zeros((25, 3)))


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe != "pose"])
def test_labels_of_any_integer_type_give_the_same_mask(recipe: Recipe) -> None:
    _, scene, pose = person(2, (128, 96))
    parse, parts = scene.parse("vitonhd"), (scene.names != "").astype(np.uint8)
    expected = make(scene.photo, parse, pose, recipe, densepose=parts)
    for kind in (np.int64, np.int32, np.uint16):
        found = make(scene.photo, parse.astype(kind), pose, recipe, densepose=parts.astype(kind))
        np.testing.assert_array_equal(found.repaint, expected.repaint)
        np.testing.assert_array_equal(found.parse, expected.parse)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"person": np.zeros((64, 48, 3))}, r"person: float64 .* expected a photo, uint8 \(H, W, 3\)"),
        ({"person": np.zeros((64, 48), np.uint8)}, r"person: uint8 of shape \(64, 48\)"),
        ({"person": np.zeros((64, 48, 4), np.uint8)}, r"person: uint8 of shape \(64, 48, 4\)"),
        ({"parse": np.zeros((64, 48))}, "parse: float64; expected label ids as integers"),
        ({"parse": np.full((64, 48), 300)}, "parse: ids 300 to 300; expected 0 to 255"),
        ({"densepose": np.full((64, 48), -1)}, "densepose: ids -1 to -1"),
        ({"person_mask": np.zeros((64, 48), np.uint8)}, "person_mask: uint8; expected bool"),
        ({"pose": np.zeros(36), "size": (32, 24)}, r"pose: \(36,\), expected \(18, 2\)"),
    ],
)
def test_arrays_of_another_type_are_refused(change: dict[str, Any], message: str) -> None:
    given = {"person": np.zeros((64, 48, 3), np.uint8), "parse": np.zeros((64, 48), np.uint8)}
    with pytest.raises(DataError, match=message):
        make(**{**given, "pose": np.full((18, 2), 20.0), **change})


def test_the_result_can_be_drawn_on() -> None:
    _, scene, pose = person(1)
    assert made(scene, pose, "cat-dm").image.flags.writeable


@settings(max_examples=60, deadline=None)
@given(
    pose=arrays(
        np.float64, (18, 3), elements=st.floats(-1e12, 1e12) | st.sampled_from([np.nan, np.inf, 0.0, 30.0])
    )
)
def test_any_joints_give_a_mask_or_one_clear_error(pose: NDArray[np.float64]) -> None:
    photo, parse = np.zeros((64, 48, 3), np.uint8), np.full((64, 48), 5, np.uint8)
    for recipe in RECIPES:
        with suppress(DataError):
            assert make(photo, parse, pose, recipe).repaint.shape == (64, 48)
