from __future__ import annotations

import errno
import json
import pickle
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from quartet_shared import checkpoints
from quartet_shared.checkpoints import (
    clear_unfinished,
    latest_checkpoint,
    load_checkpoint,
    load_model,
    load_strict,
    save_checkpoint,
    save_model,
)
from quartet_shared.errors import CheckpointError, ResourceError


def tensors(value: float = 1.0) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3, 4), value), "steps": torch.tensor(7)}


def save(root, *steps, keep=10):
    for step in steps:
        save_checkpoint(root, step, {"model": tensors(step), "optim": {}}, {"lr": 0.1}, keep=keep)


def steps_in(root) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_a_checkpoint_returns_what_was_saved(tmp_path):
    path = save_checkpoint(tmp_path, 140, {"model": tensors(2.5), "optim": {}}, {"best": 0.1 + 0.2, "none": None})
    assert path.name == "step-00000140"
    loaded = load_checkpoint(path)
    assert (loaded.step, loaded.state) == (140, {"best": 0.1 + 0.2, "none": None, "step": 140})
    assert torch.equal(loaded.tensors("model")["w"], tensors(2.5)["w"])
    assert loaded.tensors("model")["steps"].dtype == torch.int64
    assert loaded.tensors("optim") == {}


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=25, deadline=None)
@given(config=st.dictionaries(st.text().filter(lambda key: key != "step"), _json, max_size=4))
def test_any_json_state_survives(config, tmp_path_factory):
    path = save_checkpoint(tmp_path_factory.mktemp("run"), 1, {}, config)
    assert load_checkpoint(path).state == {**config, "step": 1}


def test_only_the_newest_are_kept(tmp_path):
    save(tmp_path, 1, 2, 10, 11, keep=2)
    assert steps_in(tmp_path) == ["step-00000010", "step-00000011"]


def test_latest_is_none_where_there_is_nothing(tmp_path):
    assert latest_checkpoint(tmp_path / "absent") is None


@pytest.mark.parametrize("name", ["model.safetensors", "state.json", "sums.json"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_any_damage_is_noticed_and_the_checkpoint_before_is_used(tmp_path, caplog, name, damage):
    save(tmp_path, 1, 2)
    path = tmp_path / "step-00000002" / name
    content = path.read_bytes()
    path.unlink()
    if damage != "remove":
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes(flipped if damage == "flip" else content[:middle])
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 1
    assert "step-00000002" in caplog.text


def test_a_file_without_a_sum_is_damage(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "step-00000001" / "sums.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"step-00000001/model\.safetensors: SHA-256 differs"):
        load_checkpoint(tmp_path / "step-00000001")


def test_damaged_later_checkpoints_do_not_push_out_the_sound_ones(tmp_path):
    save(tmp_path, 1, 2, 3, 4)
    for step in (3, 4):
        (tmp_path / f"step-0000000{step}" / "state.json").write_text("{}")
    assert latest_checkpoint(tmp_path).step == 2
    save(tmp_path, 3, keep=2)  # the resumed run arrives there again
    assert steps_in(tmp_path) == ["step-00000002", "step-00000003"]
    assert latest_checkpoint(tmp_path).step == 3


@pytest.mark.parametrize("where", ["save_file", "fsync_file", "_replace"])
def test_a_full_disk_leaves_the_checkpoint_before_and_no_remains(tmp_path, monkeypatch, where):
    save(tmp_path, 1)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, where, full)
    with pytest.raises(ResourceError, match=r"step-00000002.*no space is left"):
        save(tmp_path, 2)
    assert steps_in(tmp_path) == ["step-00000001"]
    assert latest_checkpoint(tmp_path).step == 1


def test_the_system_s_error_is_found_in_what_safetensors_reports(tmp_path):
    with pytest.raises(ResourceError, match="a folder stands where a file is needed"):
        raise checkpoints._write_error(
            checkpoints.SafetensorError(f"I/O error: Is a directory (os error {errno.EISDIR})"), tmp_path
        )


def _fill_until_the_disk_is_full(target):
    with checkpoints.replacing_folder(target) as fresh:
        (fresh / "file").write_text("three")
        raise checkpoints.SafetensorError("I/O error: No space left on device (os error 28)")


def test_a_folder_is_replaced_whole_with_what_lies_below_it_or_stays(tmp_path):
    target = tmp_path / "parts"
    for text in ("one", "two"):
        with checkpoints.replacing_folder(target) as fresh:
            (fresh / "below").mkdir()
            (fresh / "below" / "file").write_text(text)
    with pytest.raises(ResourceError, match="no space is left"):
        _fill_until_the_disk_is_full(target)
    assert [(p.name, p.read_text()) for p in target.rglob("*") if p.is_file()] == [("file", "two")]
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_replacement_of_a_model_leaves_the_old_one(tmp_path, monkeypatch):
    save_model(tmp_path / "best", tensors(1), {"a": 1})
    monkeypatch.setattr(checkpoints, "_sync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "")))
    with pytest.raises(ResourceError, match="cannot use 'best'"):
        save_model(tmp_path / "best", tensors(2), {"a": 2})
    assert load_model(tmp_path / "best")[1] == {"a": 1}
    assert steps_in(tmp_path) == ["best"]


def test_a_model_replaces_the_one_before(tmp_path):
    save_model(tmp_path / "best", tensors(1), {"a": 1})
    save_model(tmp_path / "best", tensors(2), {"a": 2})
    loaded, config = load_model(tmp_path / "best")
    assert config == {"a": 2}
    assert loaded["w"][0, 0] == 2
    assert load_model(tmp_path / "best" / "model.safetensors")[1] == config


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path, monkeypatch):
    save_model(tmp_path / "best", tensors(1), {"a": 1})
    shutil.copytree(tmp_path / "best", tmp_path / ".tmp-best")
    (tmp_path / "best").rename(tmp_path / ".old-best")
    clear_unfinished(tmp_path)
    assert steps_in(tmp_path) == ["best"]
    assert load_model(tmp_path / "best")[1] == {"a": 1}


def test_a_kill_after_both_renames_keeps_the_new_one(tmp_path):
    save_model(tmp_path / "best", tensors(2), {"a": 2})
    save_model(tmp_path / ".old-best", tensors(1), {"a": 1})
    clear_unfinished(tmp_path)
    assert steps_in(tmp_path) == ["best"]
    assert load_model(tmp_path / "best")[1] == {"a": 2}


def test_tied_and_strided_weights_are_saved_by_value(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    save_model(tmp_path / "m", {"a": shared, "b": shared, "t": shared.T}, {})
    loaded, _ = load_model(tmp_path / "m")
    assert torch.equal(loaded["a"], shared)
    assert torch.equal(loaded["b"], shared)
    assert torch.equal(loaded["t"], shared.T)


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.ckpt", "w.bin"])
def test_a_pickle_is_refused_with_the_way_out_and_not_even_opened(tmp_path, name):
    with pytest.raises(CheckpointError, match=rf"{name}: expected safetensors.*`convert`"):
        load_model(tmp_path / name)


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w')",)


@pytest.mark.parametrize("content", ["pickle", "torch", "html", "empty", "truncated", "huge header"])
def test_what_only_calls_itself_safetensors_is_refused(tmp_path, content):
    save_model(tmp_path / "m", tensors(), {})
    path, trace = tmp_path / "m" / "model.safetensors", tmp_path / "payload ran"
    if content == "torch":
        torch.save({"w": Payload(trace)}, path)
    else:
        path.write_bytes(
            {
                "pickle": pickle.dumps(Payload(trace)),
                "html": b"<!doctype html><html>",
                "empty": b"",
                "truncated": path.read_bytes()[:-3],
                "huge header": (2**62).to_bytes(8, "little") + b"{}",
            }[content]
        )
    with pytest.raises(CheckpointError, match=r"m/model\.safetensors: not a whole safetensors file"):
        load_model(tmp_path / "m")
    assert not trace.exists()


def test_a_missing_model_and_a_bare_file_are_errors(tmp_path):
    with pytest.raises(CheckpointError, match="there is no such file"):
        load_model(tmp_path / "absent")
    save_model(tmp_path / "m", tensors(), {})
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "bare.safetensors")
    with pytest.raises(CheckpointError, match=r"expected model\.safetensors beside its config\.json"):
        load_model(tmp_path / "bare.safetensors")


def test_a_file_that_the_disk_cannot_read_is_damage(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def unreadable(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(checkpoints, "sha256_file", unreadable)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read \(Input/output error\)"):
        load_checkpoint(tmp_path / "step-00000001")


def test_a_configuration_that_is_no_object_is_an_error(tmp_path):
    save_model(tmp_path / "m", tensors(), {})
    (tmp_path / "m" / "sums.json").write_text(json.dumps([1]))
    with pytest.raises(CheckpointError, match=r"m/sums\.json: expected a JSON object"):
        load_model(tmp_path / "m")


def test_weights_load_all_or_not_at_all():
    module = nn.Linear(2, 3)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    with pytest.raises(CheckpointError, match="file does not fit") as caught:
        load_strict(module, {"weight": torch.zeros(3, 5), "extra": torch.zeros(1)}, "file")
    assert "1 missing (bias (3,))" in str(caught.value)
    assert "1 unexpected (extra (1,))" in str(caught.value)
    assert "1 wrong shape (weight (3, 5), model (3, 2))" in str(caught.value)
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    load_strict(module, {"weight": torch.ones(3, 2), "bias": torch.ones(3)}, "file")
    assert module.weight.sum() == 6


def test_only_the_first_names_are_listed():
    with pytest.raises(CheckpointError, match="9 unexpected") as caught:
        load_strict(nn.Identity(), {f"k{i}": torch.zeros(1) for i in range(9)}, "file")
    assert "k2" in str(caught.value)
    assert "k3" not in str(caught.value)
