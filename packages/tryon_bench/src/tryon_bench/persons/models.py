"""The MediaPipe networks: found among the assets, run by a tflite runtime on numpy arrays."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._shared.assets import asset_path
from .._shared.errors import DataError

PoseModel = Literal["lite", "full", "heavy"]
SIDE = 256  # px, input of both networks
_SEGMENTATION = ("mediapipe-selfie-segmentation", "selfie_segmentation.tflite")


class Network:
    """A tflite model of one input.

    Args:
        path: the file.

    Raises:
        DataError: it is no such model.
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            # Workers are processes: one thread each. The default delegate stays, although it writes a line to stderr:
            # it implements an operation of the segmentation model that the plain runtime lacks.
            self._interpreter = Interpreter(str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as err:
            raise DataError(
                f"{path.name}: no tflite model; fetch it again with `tryon-bench assets fetch`"
            ) from err
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]

    def __call__(self, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Outputs in the model's order, for one image (side, side, 3) in 0..1."""
        self._interpreter.set_tensor(self._input, image[None].astype(np.float32))
        self._interpreter.invoke()
        return [np.array(self._interpreter.get_tensor(index)) for index in self._outputs]


@cache
def segmentation_network() -> Network:
    """The person probability model, once per process.

    Raises:
        DataError: the asset has not been fetched.
    """
    return Network(_file(*_SEGMENTATION))


@cache
def pose_network(model: PoseModel) -> Network:
    """A pose landmark model, once per process.

    Raises:
        DataError: the asset has not been fetched.
    """
    return Network(_file("mediapipe-pose", f"pose_landmark_{model}.tflite"))


def _file(asset: str, name: str) -> Path:
    folder = asset_path(asset)
    path = folder / name
    if not path.is_file():
        raise DataError(f"asset {asset}: {name} is not in it; fetch it again with `tryon-bench assets fetch`")
    return path


def sigmoid(values: NDArray[Any]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(values, dtype=np.float64))))
