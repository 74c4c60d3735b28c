"""Saved models by folder and by the hub's methods, offline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import cmcgns
from cmcgns._shared.errors import CheckpointError
from cmcgns.cli import app
from cmcgns.synth.write import write_synthetic


@pytest.fixture
def model() -> cmcgns.CMCGNS:
    torch.manual_seed(0)
    return cmcgns.CMCGNS.tiny(side_px=32).eval()


def same(a: cmcgns.CMCGNS, b: cmcgns.CMCGNS) -> bool:
    images, reports = torch.rand(2, 1, 32, 32) * 2 - 1, ["No effusion. Heart normal.", "Edema."]
    with torch.no_grad():
        films = torch.equal(a.encode_image(images).patches, b.encode_image(images).patches)
        return films and torch.equal(a.encode_text(reports).pooled, b.encode_text(reports).pooled)


def test_save_pretrained_writes_weights_settings_and_a_card(model: cmcgns.CMCGNS, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, model_card_kwargs={"summary": "Planted films only."})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    card = (tmp_path / "README.md").read_text()
    assert "library_name: cmcgns" in card
    assert "Planted films only." in card
    assert "| `image.backbone` | `tiny-vit` |" in card
    assert 'CMCGNS.from_pretrained("owner/name")' in card
    again = cmcgns.CMCGNS.from_pretrained(tmp_path)
    assert not again.training
    assert same(model, again)


def test_both_kinds_of_folder_are_read_by_both_ways(model: cmcgns.CMCGNS, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "hub")
    cmcgns.save(model, tmp_path / "ours")
    for folder in (tmp_path / "hub", tmp_path / "ours"):
        assert same(model, cmcgns.load(folder, device="cpu"))
        assert same(model, cmcgns.CMCGNS.from_pretrained(folder))


def test_a_command_takes_a_folder_of_save_pretrained(model: cmcgns.CMCGNS, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "hub")
    write_synthetic("csv", tmp_path / "csv", films=20, side_px=32)
    command = ["retrieve", str(tmp_path / "csv"), "--model", str(tmp_path / "hub"), "--side", "train", "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["model"] == "hub"


def test_weights_that_do_not_fit_are_refused(model: cmcgns.CMCGNS, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop("image_global.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    for read in (cmcgns.CMCGNS.from_pretrained, cmcgns.load):
        with pytest.raises(CheckpointError, match=r"1 missing \(image_global\.weight\)"):
            read(tmp_path)


def test_settings_of_another_package_are_refused(model: cmcgns.CMCGNS, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"embed_dims": [1]}')
    with pytest.raises(CheckpointError, match="not a cmcgns model"):
        cmcgns.CMCGNS.from_pretrained(tmp_path)


def test_a_repository_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    write_synthetic("csv", tmp_path / "csv", films=10, side_px=32)
    command = ["retrieve", str(tmp_path / "csv"), "--model", "hub:nobody/nothing"]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.stderr.count("\n")) == (4, 1)
    assert "nobody/nothing: cannot be loaded from the hub" in result.stderr
