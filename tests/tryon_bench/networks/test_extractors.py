"""Feature extractors equal the programs whose names they bear, on shared random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from tryon_bench._shared.errors import CheckpointError
from tryon_bench.networks import weights
from tryon_bench.networks.extractors import load_extractor
from tryon_bench.networks.inception import FIDInception


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (60, 44, 3), dtype=np.uint8) for _ in range(2)]


@pytest.fixture(scope="module")
def shared_weights(tmp_path_factory):
    """One random Inception as the file that both programs read."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save(FIDInception(random_seed=1).state_dict(), folder / weights.INCEPTION.file)
    return folder


@pytest.mark.slow
def test_inception_equals_torch_fidelity_with_the_same_weights(images, shared_weights, monkeypatch):
    path = shared_weights / weights.INCEPTION.file
    monkeypatch.setattr("tryon_bench.networks.inception.INCEPTION", weights.WeightFile(path.name, "", "a test"))
    theirs = FeatureExtractorInceptionV3(
        "x", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
    )
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected, expected_logits = theirs(batch)
    ours = load_extractor("inception_torch_fidelity", weights_dir=shared_weights)
    features, logits = ours.features_and_logits(images)
    np.testing.assert_allclose(features, expected.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logits, expected_logits.numpy(), rtol=1e-4, atol=1e-4)


def test_a_user_file_of_other_content_is_refused(shared_weights):
    with pytest.raises(CheckpointError, match=r"pt_inception-2015-12-05-6726825d\.pth: SHA-256"):
        load_extractor("inception_clean", weights_dir=shared_weights)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("inception_clean", "pt_inception-2015-12-05-6726825d.pth"),
        ("clip_b32", "ViT-B-32.pt"),
        ("clip_l14_336", "ViT-L-14-336px.pt"),
    ],
)
def test_absent_weights_are_an_error_that_names_the_file(tmp_path, name, file):
    with pytest.raises(CheckpointError, match=f"{file}.*SHA-256.*--weights-dir"):
        load_extractor(name, weights_dir=tmp_path)


def test_features_do_not_depend_on_the_batch(images):
    extractor = load_extractor("effnet_lite0", random_seed=0)
    together = extractor(images)
    apart = np.concatenate([extractor([image]) for image in images])
    np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-5)
    assert extractor.weights == "random(0)"


@pytest.mark.assets
def test_real_efficientnet_features_tell_blurred_photos_from_sharp_ones(asset):
    from scipy.ndimage import gaussian_filter
    from skimage import data

    from tryon_bench.metrics import frechet_distance

    asset("efficientnet-lite0")
    extractor = load_extractor("effnet_lite0")
    photo = data.astronaut()
    patches = [photo[y : y + 128, x : x + 128].copy() for y in range(0, 385, 64) for x in range(0, 385, 64)]
    sharp, other = extractor(patches[::2]), extractor(patches[1::2])
    blurred = extractor([gaussian_filter(patch, (3, 3, 0)) for patch in patches[1::2]])
    assert frechet_distance(sharp, other) < 0.7 * frechet_distance(sharp, blurred)
