"""The resizers of the FID programs, to a thousandth of a gray level."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cleanfid.resize import build_resizer
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from tryon_bench.resize import resize_for_inception, resize_mask, resize_uint8


@pytest.fixture(params=[(96, 72), (400, 310)], ids=["enlarged", "reduced"])
def image(request):
    return np.random.default_rng(0).integers(0, 256, (*request.param, 3), dtype=np.uint8)


def batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float()


def test_clean_equals_clean_fid(image):
    np.testing.assert_allclose(resize_for_inception(image, "clean"), build_resizer("clean")(image), atol=1e-3)


def test_pytorch_fid_equals_clean_fids_copy_of_it(image):
    expected = build_resizer("legacy_pytorch")(image)
    np.testing.assert_allclose(resize_for_inception(image, "pytorch_fid"), expected, atol=1e-3)


def test_torch_fidelity_equals_torch_fidelity(image):
    resized = interpolate_bilinear_2d_like_tensorflow1x(batch(image), size=(299, 299), align_corners=False)
    expected = resized[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(resize_for_inception(image, "torch_fidelity"), expected, atol=1e-3)


def test_torchmetrics_equals_what_its_inception_sees(image, monkeypatch):
    from torchmetrics.image.fid import NoTrainInceptionV3

    seen = []
    network = NoTrainInceptionV3.__new__(NoTrainInceptionV3)
    torch.nn.Module.__init__(network)
    network.use_antialias, network.INPUT_IMAGE_SIZE = True, 299
    network._dtype, network.feature_extractor_internal_dtype = torch.float32, torch.float32
    network.features_list = ["64"]
    network.Conv2d_1a_3x3 = lambda x: seen.append(x) or (_ for _ in ()).throw(StopAsyncIteration)
    with pytest.raises(StopAsyncIteration):
        network._torch_fidelity_forward(batch(image).byte())
    expected = (seen[0] * 128 + 128)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(resize_for_inception(image, "torchmetrics"), expected, atol=1e-3)


def test_an_image_of_the_right_size_is_not_touched(image):
    assert resize_uint8(image, image.shape[:2], "pillow_bicubic") is image


@pytest.mark.parametrize(
    "resampler", ["pillow_bicubic", "pillow_bilinear", "pillow_lanczos", "opencv_bilinear", "nearest"]
)
def test_a_constant_image_stays_constant(resampler):
    constant = np.full((31, 17, 3), 77, np.uint8)
    assert (resize_uint8(constant, (64, 48), resampler) == 77).all()


def test_opencv_bilinear_equals_opencv(image):
    import cv2

    expected = cv2.resize(image, (48, 64), interpolation=cv2.INTER_LINEAR)
    difference = resize_uint8(image, (64, 48), "opencv_bilinear").astype(int) - expected
    assert np.abs(difference).max() <= 1  # OpenCV rounds in fixed point


def test_half_covered_pixels_belong_to_the_mask():
    mask = np.zeros((4, 4), bool)
    mask[:, :3] = True
    assert resize_mask(mask, (2, 2)).tolist() == [[True, True], [True, True]]
