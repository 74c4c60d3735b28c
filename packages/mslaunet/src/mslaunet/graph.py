"""A network as a graph that other programs run: ONNX, or torch.export; batch, height and width stay free."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ._shared.files import atomic_path
from .model import STRIDE, MSLAUNet

OPSET = 20  # the first with GELU as one operation
MIN_SIDE_PX, MAX_SIDE_PX = 64, 8192  # one token in a row or column would need a graph of its own


class PaddedLogits(nn.Module):
    """What is exported: the folded network, for sides that are multiples of 32, 64 at least; the runner pads."""

    def __init__(self, model: MSLAUNet) -> None:
        super().__init__()
        self.network: Any = model.fold()

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, 32 h, 32 w) -> logits (B, K, 32 h, 32 w)."""
        return self.network.segment_padded(image)[0]


def export_program(model: MSLAUNet) -> torch.export.ExportedProgram:
    """The folded network as a torch.export program with free batch and size, in the weights' dtype."""
    core = PaddedLogits(model).eval()
    dtype = next(core.parameters()).dtype
    example = torch.zeros(2, model.config["in_channels"], 2 * STRIDE, 3 * STRIDE, dtype=dtype)
    most = MAX_SIDE_PX // STRIDE
    free = {
        0: torch.export.Dim("batch", min=1, max=1024),
        2: STRIDE * torch.export.Dim("rows", min=2, max=most),
        3: STRIDE * torch.export.Dim("columns", min=2, max=most),
    }
    with _silent():
        return torch.export.export(core, (example,), dynamic_shapes={"image": free})


def write_program(program: torch.export.ExportedProgram, path: Path) -> None:
    """Write a torch.export program (`.pt2`).

    Raises:
        ResourceError: the file cannot be written.
    """
    with atomic_path(path) as scratch:
        torch.export.save(program, scratch)


def write_onnx(program: torch.export.ExportedProgram, path: Path) -> None:
    """Write the program as one ONNX file with its weights inside; input `image`, output `logits`.

    Raises:
        ResourceError: the file cannot be written.
    """
    import onnx  # noqa: F401  the exporter needs both: a missing one is named here
    import onnxscript  # noqa: F401

    with _silent():
        onnx_program: Any = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits"],
            verbose=False,
        )
    with atomic_path(path) as scratch:
        onnx_program.save(scratch, external_data=False)


@contextmanager
def _silent() -> Iterator[None]:
    """The exporters warn about their own insides."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
