"""What one pair's numbers are: regions, reductions, settings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.tryon_bench.evaluations import mask

from tryon_bench.engine.images import Form
from tryon_bench.engine.networks import Networks
from tryon_bench.engine.score import PairScorer, compared_regions
from tryon_bench.metrics import psnr, ssim
from tryon_bench.networks.perceptual import LPIPS
from tryon_bench.protocol.schema import LPIPSSpec, Protocol

SIZE = (64, 48)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    clothing = mask(*SIZE)
    inside = np.where(clothing[:, :, None], 255 - photo, photo)
    outside = np.where(clothing[:, :, None], photo, 255 - photo)
    return {"": photo, "inside": inside, "outside": outside, "same": photo.copy()}


@pytest.fixture(scope="module")
def networks():
    return Networks({"alex": LPIPS("alex", random_seed=0)}, None, {})


def table(images, networks, protocol, setting="paired"):
    scorer = PairScorer("p", Form.of(protocol), images, mask(*SIZE), networks)
    methods = tuple(name for name in images if name)
    return {(s.method, s.metric, s.region): s.value for s in scorer.scores(protocol, methods, setting)}


def test_whole_image_numbers_are_those_of_the_pure_functions(images, networks):
    found = table(images, networks, Protocol(name="x"))
    assert found["inside", "psnr", "all"] == pytest.approx(psnr(images["inside"], images[""]))
    assert found["inside", "ssim_rgb_gaussian_valid", "all"] == pytest.approx(ssim(images["inside"], images[""]))


@pytest.mark.parametrize("lpips", [LPIPSSpec(net="alex"), LPIPSSpec(net="alex", side_px=64)])
def test_masked_metrics_see_their_region_only(images, networks, lpips):
    protocol = Protocol(name="x", lpips=(lpips,), colour=True)
    found = table(images, networks, protocol)
    for (method, metric, region), value in found.items():
        if region == "all":
            continue
        touched = (method, region) in {("inside", "clothing"), ("outside", "person")}
        perfect = {"psnr": math.inf}.get(metric, 1.0 if metric.startswith("ssim") else 0.0)
        assert (value == pytest.approx(perfect, abs=1e-9)) != touched, (method, metric, region)


def test_canvas_losses_of_the_two_regions_add_up_to_the_whole(images, networks):
    """The identity by which the survey's reduction was recognised (specification 2.3), exact for squared errors."""
    rng = np.random.default_rng(1)
    noisy = (images[""] + rng.normal(0, 20, images[""].shape)).clip(0, 255).astype(np.uint8)
    found = table({"": images[""], "n": noisy}, networks, Protocol(name="x", reduction="canvas", lpips=()))
    errors = {region: 10 ** (-found["n", "psnr", region] / 10) for region in ("all", "clothing", "person")}
    assert errors["all"] == pytest.approx(errors["clothing"] + errors["person"], rel=1e-9)


def test_unpaired_results_are_compared_outside_the_clothing_only(images, networks):
    regions = {region for _, _, region in table(images, networks, Protocol(name="x"), "unpaired")}
    assert regions == {"person"}
    everywhere = Protocol(name="x", unpaired_full_reference="all")
    assert compared_regions(everywhere, "unpaired") == ("all", "clothing", "person")


def test_an_empty_clothing_region_is_undefined_not_zero(images, networks):
    protocol = Protocol(name="x")
    scorer = PairScorer("p", Form.of(protocol), images, np.zeros(SIZE, bool), networks)
    values = [s.value for s in scorer.scores(protocol, ("inside",), "paired") if s.region == "clothing"]
    assert values
    assert all(math.isnan(value) for value in values)


def test_every_choice_of_a_protocol_changes_its_hash():
    base = Protocol(name="x")
    assert base.hash == Protocol(name="y", notes=("other words",)).hash
    changes = [
        {"reduction": "canvas"},
        {"height_px": 64},
        {"fill": 255},
        {"ssim": ("gray_gaussian",)},
        {"fid": ("clean",)},
    ]
    hashes = {base.model_copy(update=change).hash for change in changes} | {base.hash}
    assert len(hashes) == len(changes) + 1
