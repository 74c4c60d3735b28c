from __future__ import annotations

import argparse
import os
import pickle
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from quartet_shared.errors import CheckpointError
from quartet_shared.foreign import read_foreign_weights, read_lightning_weights, read_pickled_arrays

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3).half(), "a.bias": torch.ones(2)}


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return exec, (f"open({str(self.path)!r}, 'w')",)


def assert_is_state(tensors):
    assert tensors.keys() == STATE.keys()
    assert all(torch.equal(tensors[k], v) and tensors[k].dtype == v.dtype for k, v in STATE.items())


@pytest.mark.parametrize("key", [None, "model", "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_state_dicts_are_found_and_unwrapped(tmp_path, key, prefix):
    state = {prefix + k: v for k, v in STATE.items()}
    torch.save(state if key is None else {key: state, "epoch": 3}, tmp_path / "w.pth")
    assert_is_state(read_foreign_weights(tmp_path / "w.pth"))


def test_a_prefix_that_only_some_names_have_is_part_of_the_name(tmp_path):
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "w.pt")
    assert read_foreign_weights(tmp_path / "w.pt").keys() == {"module.a", "b"}


def test_parameters_become_plain_tensors(tmp_path):
    torch.save({k: torch.nn.Parameter(v) for k, v in STATE.items()}, tmp_path / "w.pt")
    tensors = read_foreign_weights(tmp_path / "w.pt")
    assert_is_state(tensors)
    assert all(type(v) is torch.Tensor and not v.requires_grad for v in tensors.values())


def test_the_old_format_of_torch_is_read(tmp_path):
    torch.save(STATE, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    assert_is_state(read_foreign_weights(tmp_path / "w.pt"))


def test_safetensors_are_read(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors")
    assert_is_state(read_foreign_weights(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("place", ["whole", "beside tensors", "nested"])
def test_a_payload_is_refused_and_does_not_run(tmp_path, monkeypatch, new_format, place):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    bomb = Payload(tmp_path / "ran")
    content = {"whole": bomb, "beside tensors": {**STATE, "x": bomb}, "nested": {"model": STATE, "x": [bomb]}}
    torch.save(content[place], tmp_path / "w.ckpt", _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r"^w\.ckpt: refused, .*\(UnpicklingError\)[^\n]*$"):
        read_foreign_weights(tmp_path / "w.ckpt")
    assert not (tmp_path / "ran").exists()


def test_the_payload_of_these_tests_would_run(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"<!doctype html>", b"PK\x03\x04 cut", b"\x80\x04\x95"])
def test_damaged_files_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"^w\.{suffix}: [^\n]*$"):
        read_foreign_weights(path)


@pytest.mark.parametrize(
    "content", [[torch.ones(1)], {}, {"model": {}}, {"a": 1}, {3: torch.ones(1)}, torch.ones(1)]
)
def test_what_is_no_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="expected a state dict of tensors"):
        read_foreign_weights(tmp_path / "w.pt")


def test_objects_of_other_packages_are_refused(tmp_path):
    torch.save({"model": STATE, "args": argparse.Namespace(lr=1)}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="refused"):
        read_foreign_weights(tmp_path / "w.pt")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match=r"absent\.pt: expected a weight file"):
        read_foreign_weights(tmp_path / "absent.pt")


def test_pickled_arrays_come_flat_and_bit_equal(tmp_path):
    tree = {"Net": {"Conv_0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.ones(2)}}}
    (tmp_path / "w.ckpt").write_bytes(pickle.dumps(tree, protocol=3))
    arrays = read_pickled_arrays(tmp_path / "w.ckpt")
    assert arrays.keys() == {"Net/Conv_0/kernel", "Net/Conv_0/bias"}
    np.testing.assert_array_equal(arrays["Net/Conv_0/kernel"], tree["Net"]["Conv_0"]["kernel"])


@pytest.mark.parametrize("content", ["payload", "object array", "text", "cut"])
def test_a_pickle_of_anything_but_arrays_is_refused_and_runs_nothing(tmp_path, content):
    path = tmp_path / "w.ckpt"
    trap = Payload(tmp_path / "ran")
    things = {"payload": {"a": trap}, "object array": {"a": np.array([trap], dtype=object)}, "text": {"a": "b"}}
    raw = pickle.dumps(things.get(content, {"a": np.zeros(100)}))
    path.write_bytes(raw[: len(raw) // 2] if content == "cut" else raw)
    with pytest.raises(CheckpointError, match=r"w\.ckpt"):
        read_pickled_arrays(path)
    assert not (tmp_path / "ran").exists()


class Hostile:
    """Runs a command when a plain unpickler builds it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


class Settings(dict):
    """Stands for the configuration object of a training framework."""


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_a_file_with_objects_are_read_and_the_objects_never_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = OrderedDict(a=torch.arange(4.0), b=torch.nn.Parameter(torch.ones(2, 3)))
    content = {
        "state_dict": weights,
        "hyper_parameters": Settings(lr=1, nested=[Hostile()]),
        "callbacks": Hostile(),
    }
    torch.save(content, tmp_path / "last.ckpt", _use_new_zipfile_serialization=zipped)
    tensors = read_lightning_weights(tmp_path / "last.ckpt")
    assert {k: v.tolist() for k, v in tensors.items()} == {k: v.tolist() for k, v in weights.items()}
    assert not (tmp_path / "pwned").exists()
    with pytest.raises(CheckpointError, match="refused"):
        read_foreign_weights(tmp_path / "last.ckpt")


@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state_dict"])
def test_tensors_beside_objects_are_found_under_every_usual_name(tmp_path: Path, key: str | None) -> None:
    content = {**STATE, "seen": Settings(a=1)}
    torch.save(content if key is None else {key: content, "config": Settings(lr=1)}, tmp_path / "model-best.tar")
    assert_is_state(read_lightning_weights(tmp_path / "model-best.tar"))


def test_a_program_in_the_place_of_weights_is_refused_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions of torch discourage the call
        torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "last.ckpt"))
    loaded: list[Any] = []
    monkeypatch.setattr(torch.jit, "load", lambda *a, **k: loaded.append(a))
    with pytest.raises(CheckpointError, match=r"last\.ckpt: refused"):
        read_lightning_weights(tmp_path / "last.ckpt")
    assert loaded == []


class Changes:
    """Sends a state to a function that a tensor is made of, as a hostile pickle can: BUILD with attributes to set."""

    def __init__(self, part: Any) -> None:
        self.part = part


class _Meddling(pickle._Pickler):  # the one in Python can be told to write such an instruction
    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Changes):
            self.write(pickle.GLOBAL + f"{obj.part.__module__}\n{obj.part.__name__}\n".encode())
            super().save((None, {"__doc__": "altered"}))
            self.write(pickle.BUILD)
        else:
            super().save(obj, save_persistent_id)


class Meddling:
    """A pickle module for torch.save."""

    Pickler = _Meddling
    __name__ = "meddling"


def test_a_file_cannot_alter_what_tensors_are_made_of(tmp_path: Path) -> None:
    part = torch._utils._rebuild_tensor_v2
    before = part.__doc__
    torch.save({"state_dict": STATE, "x": Changes(part)}, tmp_path / "last.ckpt", pickle_module=Meddling)
    assert_is_state(read_lightning_weights(tmp_path / "last.ckpt"))
    assert part.__doc__ == before


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps({"state_dict": 3})])
def test_a_file_without_tensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.ckpt"):
        read_lightning_weights(tmp_path / "last.ckpt")
