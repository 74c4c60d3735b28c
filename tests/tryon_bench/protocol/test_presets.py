"""Presets: valid, distinct, as the sources say; extension; differences in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from tryon_bench._shared.errors import ConfigError
from tryon_bench.engine.images import Form, bring
from tryon_bench.jpeg import through_jpeg
from tryon_bench.protocol.diff import diff_protocols
from tryon_bench.protocol.presets import load_protocol, preset_names
from tryon_bench.protocol.schema import LPIPSSpec, Protocol
from tryon_bench.resize import resize_uint8

ASKED_FOR = (
    *("tryon-bench-1", "survey-2311.04811", "hr-viton", "ladi-vton", "catvton", "leffa", "sdafn", "pf-afn"),
    *("tryon-bench-1-full", "tryon-bench-1-512x384"),
)


def test_every_preset_is_valid_and_has_its_own_hash_and_provenance() -> None:
    protocols = [load_protocol(name) for name in preset_names()]
    assert sorted(preset_names()) == sorted(ASKED_FOR)
    assert preset_names()[0] == "tryon-bench-1"
    assert len({protocol.hash for protocol in protocols}) == len(protocols)
    assert all(protocol.notes for protocol in protocols)
    assert [protocol.name for protocol in protocols] == preset_names()


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("hr-viton", "ssim", ("gray_gaussian",)),
        ("hr-viton", "lpips", (LPIPSSpec(net="alex", side_px=128),)),
        ("ladi-vton", "ssim", ("rgb_gaussian_valid",)),
        ("ladi-vton", "unpaired_full_reference", "all"),
        ("catvton", "ssim", ("rgb_gaussian_reflect",)),
        ("catvton", "lpips", (LPIPSSpec(net="squeeze"),)),
        ("catvton", "reference_jpeg_quality", 75),
        ("leffa", "fid", ("clean", "pytorch_fid")),
        ("leffa", "psnr", True),
        ("sdafn", "ssim", ("rgb_gaussian_zero",)),
        ("sdafn", "fid", ("torch_fidelity",)),
        ("pf-afn", "fid", ("pytorch_fid",)),
        ("survey-2311.04811", "reduction", "canvas"),
        ("survey-2311.04811", "semantic", ("l2", "cosdist100")),
        ("tryon-bench-1", "reduction", "masked"),
        ("tryon-bench-1", "self_pairs", "exclude"),
    ],
)
def test_presets_say_what_the_sources_say(name: str, field: str, value: object) -> None:
    assert getattr(load_protocol(name), field) == value


def test_the_default_needs_no_weight_file_of_the_user() -> None:
    protocol = load_protocol("tryon-bench-1")
    needs = (protocol.fid, protocol.kid, protocol.fd_dinov2, protocol.cmmd, protocol.semantic)
    assert not any((*needs, protocol.inception_score_splits))
    assert all(spec.net != "squeeze" for spec in protocol.lpips)


def test_a_file_of_the_user_extends_a_preset_and_gets_another_hash(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "survey-2311.04811"\nheight_px = 256\nwidth_px = 192\n')
    (tmp_path / "more.toml").write_text('extends = "mine.toml"\nname = "x"\nfill = 255\n')
    mine, survey = load_protocol(tmp_path / "mine.toml"), load_protocol("survey-2311.04811")
    assert (mine.name, mine.height_px, mine.reduction, mine.notes) == ("mine", 256, "canvas", ())
    assert mine.hash != survey.hash
    assert load_protocol(tmp_path / "more.toml").height_px == 256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fil = 3", "unknown key, did you mean 'fill'"),
        ("fill = 300", "fill: Input should be less than or equal to 255"),
        ('extends = "nothing"', "protocol 'nothing' is unknown; choose one of tryon-bench-1"),
        ("extends = 3", "extends: expected the name"),
        ('extends = "bad.toml"', "extends itself"),
        ("[", "is not TOML"),
    ],
)
def test_a_wrong_protocol_is_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_protocol(tmp_path / "bad.toml")
    assert "\n" not in str(caught.value)


def test_the_name_and_the_notes_change_no_hash_and_every_other_field_does() -> None:
    base = Protocol(name="a")
    assert Protocol(name="b", notes=("x",)).hash == base.hash
    changes: dict[str, object] = {
        **{"height_px": 64, "width_px": 48, "resampler": "nearest", "prediction_jpeg_quality": 75},
        **{"reference_jpeg_quality": 75, "jpeg_step": "after_resize", "regions": ("all",), "reduction": "canvas"},
        **{"fill": 1, "mask_dilation_px": 1, "ssim": (), "ms_ssim": True, "psnr": False, "lpips": ()},
        **{"dists": True, "colour": True, "boundary": True, "garment_similarity": True},
        **{"distribution_regions": ("person",), "fid": ("clean",), "kid": {}, "fd_effnet_lite0": True},
        **{"fd_dinov2": True, "cmmd": True, "manifold": True, "inception_score_splits": 1, "semantic": ("l2",)},
        **{"unpaired_full_reference": "all", "self_pairs": "keep"},
    }
    assert changes.keys() == Protocol.model_fields.keys() - {"name", "notes", "clothing_mask"}
    for field, value in changes.items():
        other = Protocol.model_validate({"name": "a", field: value})
        assert other.hash != base.hash, field
        assert [d.field for d in diff_protocols(base, other)] == [field]


def test_differences_are_told_in_words_and_those_that_change_numbers_come_first() -> None:
    differences = diff_protocols(load_protocol("hr-viton"), load_protocol("ladi-vton"))
    texts = [str(d) for d in differences]
    assert any(text.startswith("lpips: alex at 128 x 128 px against alex (other nets") for text in texts)
    assert any("ssim: gray_gaussian against rgb_gaussian_valid" in text for text in texts)
    assert "height: the photo's against 512 px" in " ".join(texts)
    flags = [d.comparable for d in differences]
    assert flags == sorted(flags)
    assert next(d for d in differences if d.field == "fid").comparable


def test_a_photo_is_stored_again_only_where_it_was_resized() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    form = Form.of(load_protocol("catvton"))._replace(height_px=32, width_px=24)
    small = bring(image, form, (64, 48), 75)
    np.testing.assert_array_equal(small, through_jpeg(resize_uint8(image, (32, 24), "pillow_lanczos"), 75))
    same = form._replace(height_px=64, width_px=48)
    np.testing.assert_array_equal(bring(image, same, (64, 48), 75), image)


def test_diff_protocols_from_the_command_line(run_cli: Callable[..., Result]) -> None:
    document = json.loads(run_cli("diff-protocols", "catvton", "leffa", "--json").stdout)
    assert document["comparable"] is False
    assert "the same protocol" in run_cli("diff-protocols", "leffa", "leffa").stdout
    assert "Numbers of one name differ because of" in run_cli("diff-protocols", "catvton", "leffa").stdout
    assert run_cli("diff-protocols", "catvton", "nothing").exit_code == 2
