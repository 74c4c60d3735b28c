"""Pictures that the ControlNet is shown, and the frame that they lie in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tryon_bench._shared.errors import DataError
from tryon_bench._shared.io.images import write_png
from tryon_bench.data.sample import Dataset, Sample
from tryon_bench.diffusion.config import FrameConfig
from tryon_bench.diffusion.frames import frame_of, undone
from tryon_bench.diffusion.hints import CHANNELS, hint_channels, hint_values
from tryon_bench.diffusion.pairs import PreparedPair, prepare_pair, to_tensors
from tryon_bench.engine.images import decode


def _prepared(sample: Sample, **settings: object) -> PreparedPair:
    return prepare_pair(sample, FrameConfig.model_validate({"height_px": 32, "width_px": 24, **settings}), 16)


def test_hint_is_garment_then_densepose(dataset: Dataset) -> None:
    sample = dataset.samples[0]
    pair = _prepared(sample)
    assert pair.hint.shape == (32, 24, 6)
    assert np.array_equal(pair.hint[..., :3], decode(sample.garment))  # of the frame's size already
    assert sample.densepose is not None
    assert np.array_equal(pair.hint[..., 3:], decode(sample.densepose))


def test_every_hint_has_its_channels_and_says_something(dataset: Dataset) -> None:
    sample = max(dataset.samples, key=lambda s: s.pair_id)
    for name, channels in CHANNELS.items():
        hint = _prepared(sample, hints=(name,)).hint
        assert hint.shape == (32, 24, channels)
        assert hint.std() > 0, name
    assert hint_channels(tuple(CHANNELS)) == 16


def test_warped_garment_lies_where_the_person_may_change(dataset: Dataset) -> None:
    pair = _prepared(dataset.samples[0], hints=("warped",))
    inside = pair.hint[..., 3] > 0
    assert 0.05 < inside.mean() < 0.5
    assert not (inside & pair.keep).any()
    assert (pair.hint[~inside][:, :3] == 128).all()


def test_agnostic_is_gray_where_the_person_may_change_and_the_photo_elsewhere(dataset: Dataset) -> None:
    pair = _prepared(dataset.samples[0], hints=("agnostic",))
    assert (pair.hint[~pair.keep] == 128).all()
    assert np.array_equal(pair.hint[pair.keep], pair.image[pair.keep])


def test_colours_are_signed_and_masks_are_not() -> None:
    hint = np.array([[[0, 255, 128, 255, 0, 0, 255]]], np.uint8)
    values = hint_values(("warped", "garment"), hint)[:, 0, 0]
    assert values.tolist() == pytest.approx([-1, 1, 128 / 127.5 - 1, 1, -1, -1, 1], abs=1e-6)
    assert hint_values(("warped",), np.zeros((1, 1, 4), np.uint8))[:, 0, 0].tolist() == [-1, -1, -1, 0]


def test_part_indices_are_drawn_in_the_colours_of_a_rendering(dataset: Dataset, tmp_path: Path) -> None:
    parts = np.zeros((32, 24), np.uint8)
    parts[10:20] = 15
    write_png(tmp_path / "parts.png", parts)
    hint = _prepared(replace(dataset.samples[0], densepose=tmp_path / "parts.png"), hints=("densepose",)).hint
    assert len(np.unique(hint.reshape(-1, 3), axis=0)) == 2
    assert (hint[:10] == 0).all()


@pytest.mark.parametrize(
    ("lost", "hints", "message"),
    [("densepose", ("densepose",), "no DensePose picture"), ("keypoints", ("pose",), "no keypoints")],
)
def test_what_the_data_set_lacks_is_named(
    dataset: Dataset, lost: str, hints: tuple[str, ...], message: str
) -> None:
    sample = replace(dataset.samples[0], **{lost: None})
    with pytest.raises(DataError, match=f"{sample.pair_id}: {message}.*choose other frame.hints"):
        _prepared(sample, hints=hints)


def test_densepose_of_another_size_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    write_png(tmp_path / "parts.png", np.zeros((16, 12), np.uint8))
    with pytest.raises(DataError, match=r"parts\.png: 12 x 16 px, the photo has 24 x 32"):
        _prepared(replace(dataset.samples[0], densepose=tmp_path / "parts.png"), hints=("densepose",))


def test_photo_of_another_shape_is_padded_and_comes_back_at_its_size() -> None:
    photo = np.full((100, 50, 3), 77, np.uint8)
    frame = frame_of(photo, (32, 24))
    assert frame.inner == (32, 16)
    assert frame.photo(photo, "edge").shape == (32, 24, 3)
    back = undone(frame.photo(photo, "edge"), frame)
    assert back.shape == photo.shape
    assert (back == 77).all()


def test_squeezing_fills_the_frame_only_on_demand(dataset: Dataset) -> None:
    wide = {"height_px": 32, "width_px": 32}
    padded, squeezed = _prepared(dataset.samples[0], **wide), _prepared(dataset.samples[0], **wide, square=True)
    assert padded.frame.inner == (32, 24)
    assert padded.keep[:, :4].all()  # padding is never repainted
    assert squeezed.frame.inner == (32, 32)
    assert undone(squeezed.image, squeezed.frame).shape == (32, 24, 3)


def test_garment_is_normalised_as_clip_expects(dataset: Dataset) -> None:
    config = FrameConfig(height_px=32, width_px=24)
    ref = to_tensors([_prepared(dataset.samples[0])], config)["ref"][0]
    white = [(1 - 0.48145466) / 0.26862954, (1 - 0.4578275) / 0.26130258, (1 - 0.40821073) / 0.27577711]
    assert ref[:, 0, 0].tolist() == pytest.approx(white, rel=1e-5)  # the padding beside a portrait garment
