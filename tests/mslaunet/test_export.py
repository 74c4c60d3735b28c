"""Exported models: any size and batch, the network's numbers, a runner without torch, int8 with its Dice."""

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch

from mslaunet._shared.errors import CheckpointError, ConfigError
from mslaunet.data.dataset import open_dataset
from mslaunet.data.loading import load_case
from mslaunet.predict import load_predictor
from mslaunet.preprocess import resize_labels, resize_planes
from mslaunet.runtime import OnnxRunner, bilinear, main, nearest, segment_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory, volume_model, volumes, run_cli):
    """A trained tiny model as ONNX, torch.export and int8."""
    out = tmp_path_factory.mktemp("export") / "exported"
    result = run_cli(
        "export", "--model", volume_model, "--out", out, "--format", "both", "--int8", volumes, "--json"
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == json.loads((out / "parity.json").read_text())
    return out


def test_both_graphs_compute_what_the_network_computes(exported):
    parity = json.loads((exported / "parity.json").read_text())["parity"]
    assert set(parity) == {"model.onnx", "model.pt2"}
    for values in parity.values():
        assert values["relative"] < 1e-5
        assert values["labels_equal"] > 0.999
        assert values["pixels"] > 50_000


def test_runner_gives_the_labels_of_predict(exported, volume_model, volumes):
    predictor = load_predictor(volume_model, device="cpu")
    runner = OnnxRunner(exported, threads=1)
    for case in open_dataset(volumes).training[:2]:
        loaded = load_case(case, num_channels=1, num_classes=len(predictor.classes))
        expected = predictor.predict(loaded)
        received = runner.segment(loaded.image, loaded.spacing_mm, batch_size=3)
        assert received.dtype == expected.dtype
        assert (received == expected).mean() > 0.999


def test_int8_states_its_loss_of_dice(exported):
    int8 = json.loads((exported / "parity.json").read_text())["int8"]
    assert int8["scored_cases"] > 0
    assert int8["scored_part"] in ("training", "testing")
    assert int8["dice_loss"] == pytest.approx(int8["dice_float32"] - int8["dice_int8"])
    assert int8["bytes_int8"] < 0.8 * int8["bytes_float32"]
    assert OnnxRunner(exported, "model-int8.onnx").logits(np.zeros((2, 1, 40, 80), np.float32)).shape[2:] == (
        40,
        80,
    )


def test_runner_needs_no_torch(exported, volumes, tmp_path):
    """A process in which torch cannot be imported segments a file onto the file's own grid."""
    source = sorted((volumes / "imagesTr").iterdir())[0]
    code = (
        "import sys\n"
        "for name in ('torch', 'monai', 'timm', 'torchvision'):\n    sys.modules[name] = None\n"
        "from mslaunet.runtime import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    target = tmp_path / "mask.nii.gz"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-c", code, exported, source, target], check=True, env=environment, timeout=120
    )
    mask, image = nib.load(target), nib.load(source)
    assert mask.shape == image.shape
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-4)


def test_pipeline_names_all_that_surrounds_the_graph(exported, volume_model):
    pipeline = json.loads((exported / "pipeline.json").read_text())
    assert set(pipeline["files"]) == {"model.onnx", "model.pt2", "model-int8.onnx"}
    assert pipeline["input"]["multiple_px"] == 32
    assert pipeline["preprocessing"]["intensity"] == "window"
    assert pipeline["classes"]["0"] == "background"


def test_damaged_graph_is_refused(exported, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "pipeline.json").write_bytes((exported / "pipeline.json").read_bytes())
    (copy / "model.onnx").write_bytes((exported / "model.onnx").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model.onnx: missing or damaged; export again"):
        OnnxRunner(copy)
    with pytest.raises(CheckpointError, match=r"no other.onnx in this export; it has"):
        OnnxRunner(copy, "other.onnx")
    (copy / "pipeline.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a pipeline"):
        OnnxRunner(copy)


def test_wrong_ending_of_the_mask_is_refused(exported, volumes, tmp_path, capsys):
    source = sorted((volumes / "imagesTr").iterdir())[0]
    with pytest.raises(ConfigError, match=r"mask.png: the mask of .* must end in .nii.gz"):
        segment_file(exported, source, tmp_path / "mask.png")
    assert main([str(exported), str(source), str(tmp_path / "mask.png")]) == 2
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_export_refuses_a_folder_with_files_and_int8_alone(volume_model, volumes, tmp_path, run_cli):
    (tmp_path / "note.txt").write_text("keep")
    assert run_cli("export", "--model", volume_model, "--out", tmp_path).exit_code == 2
    result = run_cli(
        "export", "--model", volume_model, "--out", tmp_path / "new", "--format", "torch", "--int8", volumes
    )
    assert result.exit_code == 2
    assert "--int8 quantises the ONNX graph" in result.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("size", [(20, 31), (64, 64), (100, 40), (7, 90)])
def test_resizing_equals_that_of_training(size):
    rng = np.random.default_rng(0)
    planes = rng.normal(size=(2, 3, 45, 52)).astype(np.float32)
    np.testing.assert_allclose(bilinear(planes, size, antialias=True), resize_planes(planes, size), atol=5e-5)
    labels = rng.integers(0, 5, (3, 45, 52), dtype=np.uint8)
    np.testing.assert_array_equal(nearest(labels, size), resize_labels(labels, size))
    plain = torch.nn.functional.interpolate(torch.from_numpy(planes), size=size, mode="bilinear").numpy()
    np.testing.assert_allclose(bilinear(planes, size), plain, atol=5e-5)
