from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mslaunet import MSLAUNet
from mslaunet._shared.errors import ConfigError
from mslaunet.convert import convert_official


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "official.pth"
    torch.save(MSLAUNet(num_classes=2, preset="official").state_dict(), path)
    return path


def test_a_folder_with_files_is_refused_and_left_as_it_was(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "scan.nii.gz").write_bytes(b"precious")
    with pytest.raises(ConfigError, match="scans: exists and is not an empty folder"):
        convert_official(weights, tmp_path / "scans")
    assert (tmp_path / "scans" / "scan.nii.gz").read_bytes() == b"precious"


def test_a_file_in_the_way_is_refused_and_left_as_it_was(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"notes\.txt"):
        convert_official(weights, tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "precious"


def test_an_empty_folder_is_filled(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path / "model")
    convert_official(weights, Path())
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"model.safetensors", "config.json", "sums.json"}
