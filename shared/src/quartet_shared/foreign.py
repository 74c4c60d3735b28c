"""The one file that may touch a pickle: other people's weights, read without running what is in them."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .errors import CheckpointError

_CONTAINERS = ("model", "state_dict", "model_state_dict")
_ARRAY_PARTS = {
    (module, name)
    for module, names in {
        "numpy": ("ndarray", "dtype"),
        "numpy.core.multiarray": ("_reconstruct", "scalar"),
        "numpy._core.multiarray": ("_reconstruct", "scalar"),
    }.items()
    for name in names
}
_WRAPPERS = ("module.", "_orig_mod.")  # left by DistributedDataParallel and torch.compile


def read_foreign_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.pt`, `.pth`, `.ckpt` or `.safetensors` file, on the CPU.

    torch's restricted unpickler builds tensors and plain containers only; everything else in a pickle, for example
    `__reduce__`, is refused before it runs.

    Args:
        path: a state dict, bare or under "model", "state_dict" or "model_state_dict".

    Returns:
        Names without the prefixes of wrappers -> tensors, dtype as stored.

    Raises:
        CheckpointError: missing, damaged, unsafe, or no state dict.
    """
    if not path.is_file():
        raise CheckpointError(f"{path.name}: expected a weight file, there is no such file")
    return state_dict_of(_read(path), path.name)


class _ArrayUnpickler(pickle.Unpickler):
    """Builds plain containers and numpy arrays; whatever else a pickle names is refused before it is imported."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in _ARRAY_PARTS:
            raise pickle.UnpicklingError(f"{module_name}.{global_name}")
        return super().find_class(module_name, global_name)


def read_pickled_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Numbers of a pickle of nested dictionaries of numpy arrays, the form in which JAX weights travel.

    Args:
        path: the pickle.

    Returns:
        Names joined by "/" -> arrays, dtype as stored.

    Raises:
        CheckpointError: missing, damaged, unsafe, or something else inside.
    """
    try:
        with path.open("rb") as file:
            content = _ArrayUnpickler(file).load()
    except Exception as err:  # damaged and hostile pickles raise nearly anything
        raise CheckpointError(
            f"{path.name}: refused, not a pickle of plain numpy arrays or damaged ({type(err).__name__}); ask its "
            "author for safetensors"
        ) from err
    return dict(_flat(content, "", path.name))


class _Inert:
    """Stands for whatever object a training framework stored beside the tensors; it holds nothing and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """What unpickling a list of a foreign class calls."""

    def extend(self, items: Any) -> None:
        """Likewise."""


_TENSOR_PARTS = {  # storages are looked up by torch itself, before the list is asked
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
    ("collections", "OrderedDict"),
}


class _Part:
    """A part of a tensor that a pickle may call and nothing else: a state that it sends does not change the part."""

    __slots__ = ("_real",)

    def __init__(self, real: Any) -> None:
        self._real = real

    def __call__(self, *args: Any) -> Any:
        return self._real(*args)

    def __setstate__(self, state: Any) -> None:
        pass


class _TensorPickle:
    """A stand-in for the pickle module: tensors and plain containers are built, any other object becomes `_Inert`.

    Nothing that the file names is imported or called but the parts of a tensor, and these cannot be altered.
    """

    __name__ = "tensors_only"

    class Unpickler(pickle.Unpickler):
        """Looks names up in the list of what a tensor is made of."""

        def find_class(self, module_name: str, global_name: str, /) -> Any:
            """The part, or the class of inert objects."""
            known = (module_name, global_name) in _TENSOR_PARTS
            return _Part(super().find_class(module_name, global_name)) if known else _Inert

    @staticmethod
    def load(file: Any, **options: Any) -> Any:
        """What torch calls for files of old versions."""
        return _TensorPickle.Unpickler(file, **options).load()


def read_lightning_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint that also holds objects of its training framework (Lightning, omegaconf).

    Such files are refused by `read_foreign_weights`. Here their objects are replaced by inert ones: no class, function
    or module that the file names is imported, except what tensors are made of.

    Args:
        path: a `.ckpt`, `.pt`, `.pth` or `.tar` file of `torch.save` with its state dict under "state_dict", "model" or
            "model_state_dict", or bare.

    Raises:
        CheckpointError: missing, damaged, a program (TorchScript), or no state dict.
    """
    if not path.is_file():
        raise CheckpointError(f"{path.name}: expected a weight file, there is no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message=".*TorchScript")  # torch says so before it runs such a file
            content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_TensorPickle)
    except Exception as err:  # damaged and hostile pickles raise nearly anything
        raise CheckpointError(
            f"{path.name}: refused, damaged or not a checkpoint of tensors ({type(err).__name__}); get it again"
        ) from err
    if isinstance(content, dict):
        content = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), dict)), content)
        content = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
    return state_dict_of(content, path.name)


def _flat(content: Any, prefix: str, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(content, dict) and all(isinstance(key, str) for key in content):
        for key, value in content.items():
            yield from _flat(value, f"{prefix}/{key}" if prefix else key, name)
    elif isinstance(content, np.ndarray) and content.dtype.kind in "biuf":
        yield prefix, content
    else:
        raise CheckpointError(f"{name}: expected arrays of numbers, got {type(content).__name__} at {prefix!r}")


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # mmap would keep the tensors tied to a file that somebody may still change
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch comments on the protocol of a pickle that it then refuses
            return torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except SafetensorError as err:
        raise CheckpointError(f"{path.name}: not a whole safetensors file") from err
    except Exception as err:  # damaged and hostile pickles raise nearly anything
        raise CheckpointError(
            f"{path.name}: refused, not a plain state dict of tensors or damaged ({type(err).__name__}); ask its "
            "author for safetensors"
        ) from err


def state_dict_of(content: Any, name: str) -> dict[str, Tensor]:
    """Find the state dict in the content of a weight file and take the wrappers' prefixes off its names.

    Args:
        content: a state dict, bare or under "model", "state_dict" or "model_state_dict".
        name: what a message calls it.

    Raises:
        CheckpointError: there is none.

    Example:
        >>> state_dict_of({"model": {"module.weight": Tensor([1.0])}}, "best.pth")
        {'weight': tensor([1.])}
    """
    if isinstance(content, dict):
        content = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), dict)), content)
        if content and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
            return _unwrap({key: value.detach() for key, value in content.items()})
    raise CheckpointError(
        f"{name}: expected a state dict of tensors, bare or under one of {', '.join(_CONTAINERS)}; got "
        f"{type(content).__name__}"
    )


def _unwrap(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((p for p in _WRAPPERS if all(key.startswith(p) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors
