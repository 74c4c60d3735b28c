"""Saved folders of networks: strict, safetensors only, with a card, offline."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from quartet_shared.errors import CheckpointError, ResourceError
from quartet_shared.hub import PretrainedModel


class Net(PretrainedModel, nn.Module, library_name="quartet", tags=["test"]):
    """A linear layer and a norm."""

    def __init__(self, width: int, bias: bool = True) -> None:
        super().__init__()
        self.config = {"width": width, "bias": bias}
        self.layer = nn.Linear(width, 2, bias=bias)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x):
        return self.norm(self.layer(x))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = Net(3, bias=False).eval()
    model.save_pretrained(tmp_path / "net")
    return model, tmp_path / "net"


def test_a_saved_network_comes_back_with_settings_and_numbers(saved):
    model, folder = saved
    again = Net.from_pretrained(folder)
    assert again.config == model.config
    assert not again.training
    x = torch.randn(4, 3)
    assert torch.equal(again(x), model(x))
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]


def test_half_precision_is_kept(tmp_path):
    Net(3).bfloat16().save_pretrained(tmp_path)
    again = Net.from_pretrained(tmp_path)
    assert again.layer.weight.dtype == torch.bfloat16
    assert again.norm.num_batches_tracked.dtype == torch.int64


def test_the_card_says_what_is_known(saved, tmp_path):
    model, folder = saved
    text = (folder / "README.md").read_text()
    assert "library_name: quartet" in text
    assert "| `width` | `3` |" in text
    assert "no description of data" in text
    assert "10 parameters" in text
    model.save_pretrained(tmp_path / "other", model_card_kwargs={"summary": "Trained on nothing."})
    assert "Trained on nothing." in (tmp_path / "other" / "README.md").read_text()


def change(folder, edit):
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("norm.bias"), r"1 missing \(norm.bias\)"),
        (lambda t: t.update({"more": torch.zeros(1)}), r"1 unexpected \(more\)"),
        (lambda t: t.update({"norm.bias": torch.zeros(5)}), r"1 of another shape \(norm.bias\)"),
    ],
)
def test_weights_that_do_not_fit_exactly_are_refused(saved, edit, message):
    _, folder = saved
    change(folder, edit)
    with pytest.raises(CheckpointError, match=message):
        Net.from_pretrained(folder)


def test_a_pickle_beside_the_settings_is_not_read(saved):
    model, folder = saved
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"model.safetensors: missing; weights are read from safetensors only"
    ):
        Net.from_pretrained(folder)


def test_damaged_files_are_named(saved):
    _, folder = saved
    (folder / "model.safetensors").write_bytes(b"12345678")
    with pytest.raises(CheckpointError, match=r"model.safetensors: damaged"):
        Net.from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"depth": 3}))
    with pytest.raises(CheckpointError, match=r"net/(model.safetensors|config.json)"):
        Net.from_pretrained(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config.json: missing or damaged"):
        Net.from_pretrained(folder)


def test_unknown_settings_are_named(saved):
    _, folder = saved
    (folder / "config.json").write_text(json.dumps({"width": 3, "depth": 3}))
    with pytest.raises(CheckpointError, match=r"config.json: not settings of Net: .*depth"):
        Net.from_pretrained(folder)


@pytest.mark.parametrize("name", ["owner/none-such", "nowhere", "a/b/c"])
def test_what_is_neither_folder_nor_reachable_is_one_clear_error(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=name.rpartition("/")[2]):
        Net.from_pretrained(name)


def test_push_saves_a_whole_folder(saved, monkeypatch):
    """What would be sent is what save_pretrained writes; no connection is made."""
    model, folder = saved
    sent = {}

    class Api:
        def __init__(self, **_):
            pass

        def create_repo(self, repo_id, **_):
            return type("Url", (), {"repo_id": repo_id})

        def upload_folder(self, *, folder_path, **_):
            sent.update({p.name: p.read_bytes() for p in folder_path.iterdir()})
            return "commit"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    model.push_to_hub("owner/net")
    assert set(sent) == {"README.md", "config.json", "model.safetensors"}
    assert sent["model.safetensors"] == (folder / "model.safetensors").read_bytes()


def test_a_file_in_the_way_is_a_resource_error(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ResourceError, match="taken"):
        Net(3).save_pretrained(tmp_path / "taken")
