"""A trained warp as a method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from .._shared.checkpoints import load_model, load_strict
from .._shared.engine.device import resolve_device
from .._shared.errors import CheckpointError
from .._shared.files import sha256_file
from ..methods.catalogue import WarpMethod
from ..methods.contour import spline_map
from ..methods.interface import Conditions, Image
from ..tps import control_grid, fit_tps
from .config import WarpNetConfig
from .crops import into_frame, make_crops, out_of_frame
from .model import GRID, WarpNet

METHOD = "warp_net"


def warp_net_method(checkpoint: Path, device: str = "cpu") -> WarpMethod:
    """The warp of a run directory of `train-warp`, or of one of its checkpoint folders.

    Its version is the head of the SHA-256 of the weights, so that results of two trainings are never taken for one.

    Args:
        checkpoint: a run directory (its best weights), or a folder with `model.safetensors`.
        device: where the network runs.

    Raises:
        CheckpointError: missing, damaged, or weights of something else.
        ResourceError: no such device.
    """
    if not checkpoint.exists():
        raise CheckpointError(f"{checkpoint}: does not exist; give the run directory of `train-warp`")
    best = checkpoint / "checkpoints" / "best"
    folder = best if best.is_dir() else checkpoint
    tensors, content = load_model(folder)
    if content.pop("kind", None) != METHOD:
        raise CheckpointError(f"{folder.name}: no weights of `train-warp`; give its run directory")
    try:
        config = WarpNetConfig(**content)
    except ValidationError as err:
        raise CheckpointError(f"{folder.name}/config.json: not the settings of `train-warp`'s network") from err
    net = WarpNet(config)
    load_strict(net, tensors, folder.name)
    net.requires_grad_(False).eval().to(resolve_device(device))

    def warp(person: Image, garment: Image, conditions: Conditions) -> NDArray[np.float64]:
        return predicted_map(net, config.side_px, garment, conditions)

    return WarpMethod(METHOD, sha256_file(folder / "model.safetensors")[:16], warp)


def predicted_map(net: WarpNet, side_px: int, garment: Image, conditions: Conditions) -> NDArray[np.float64]:
    """The backward map that the network predicts.

    Returns:
        (H, W, 2) x and y in 0..1 of the garment's photo.
    """
    crops = make_crops(garment, conditions, side_px)
    device = next(net.parameters()).device
    with torch.inference_mode():
        person, shop = (torch.from_numpy(crop)[None].to(device) for crop in (crops.person, crops.garment))
        points = net(person, shop)[0].double().cpu().numpy()
    spline = fit_tps(control_grid(GRID), points)

    def whole(at: NDArray[np.float64]) -> NDArray[np.float64]:
        return out_of_frame(spline(into_frame(at, crops.person_frame)), crops.garment_frame)

    return spline_map(whole, (conditions.target.shape[0], conditions.target.shape[1]))
