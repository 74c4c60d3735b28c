"""How images are resized: every published metric hides one of these resamplers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Resampler = Literal["pillow_bicubic", "pillow_bilinear", "pillow_lanczos", "opencv_bilinear", "nearest"]
InceptionResizer = Literal["clean", "pytorch_fid", "torch_fidelity", "torchmetrics"]


def resize_uint8(image: NDArray[np.uint8], size: tuple[int, int], resampler: Resampler) -> NDArray[np.uint8]:
    """Resize an image for an evaluation; an image of that size already comes back unchanged.

    Args:
        image: (H, W, 3) uint8.
        size: (height, width), px.
        resampler: the Pillow forms look at all pixels that a target pixel covers (antialias), "opencv_bilinear" at
            four only, and so does "nearest" at one.

    Returns:
        (height, width, 3) uint8.
    """
    if image.shape[:2] == size:
        return image
    if resampler.startswith("pillow"):
        from PIL import Image

        kind = getattr(Image.Resampling, resampler.removeprefix("pillow_").upper())
        return np.asarray(Image.fromarray(image).resize(size[::-1], kind))
    import torch
    from torch.nn import functional as F

    planes = torch.from_numpy(np.moveaxis(image, 2, 0).copy()).float()[None]
    options: dict[str, Any] = (
        {"mode": "nearest"} if resampler == "nearest" else {"mode": "bilinear", "align_corners": False}
    )
    resized = F.interpolate(planes, size=size, **options)[0]
    return np.moveaxis(resized.round().clamp(0, 255).byte().numpy(), 0, 2)


def resize_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Resize a mask by the share of foreground that each target pixel covers: half of it makes foreground."""
    if mask.shape == size:
        return mask
    from PIL import Image

    cover = Image.fromarray(mask.astype(np.float32)).resize(size[::-1], Image.Resampling.BOX)
    return np.asarray(cover) >= 0.5


def resize_floats(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize a plane of real numbers, bicubic with antialias, without rounding or clipping: maps and distances."""
    if plane.shape == size:
        return plane.astype(np.float32)
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC))


def resize_for_inception(image: NDArray[np.uint8], kind: InceptionResizer, side: int = 299) -> NDArray[np.float32]:
    """Resize an image to the square that Inception takes, as one of the FID programs does it.

    | kind | what it does |
    |---|---|
    | clean | clean-fid: Pillow bicubic on floats, antialias, clipped, no rounding |
    | pytorch_fid | bilinear without antialias, pixel centres at halves |
    | torch_fidelity | TensorFlow 1's bilinear without antialias, corners at zeros |
    | torchmetrics | bilinear with antialias, default since torchmetrics 1.8 |

    Args:
        image: (H, W, 3) uint8.
        kind: see the table.
        side: of the square, px.

    Returns:
        (side, side, 3) float32 in 0..255.
    """
    return _INCEPTION[kind](image, side)


def _clean(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    from PIL import Image

    channels = [
        np.asarray(
            Image.fromarray(image[:, :, c].astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
        )
        for c in range(3)
    ]
    return np.stack(channels, axis=2).clip(0, 255)


def _bilinear(image: NDArray[np.uint8], side: int, *, antialias: bool) -> NDArray[np.float32]:
    import torch
    from torch.nn import functional as F

    planes = torch.from_numpy(np.moveaxis(image, 2, 0).copy()).float()[None]
    resized = F.interpolate(planes, size=(side, side), mode="bilinear", align_corners=False, antialias=antialias)
    return np.moveaxis(resized[0].clamp(0, 255).numpy(), 0, 2)


def _pytorch_fid(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    return _bilinear(image, side, antialias=False)


def _torchmetrics(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    return _bilinear(image, side, antialias=True)


def _torch_fidelity(image: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Target pixel i samples source position i * source / target, as TensorFlow 1 did."""
    top, bottom, rows = _corner_samples(image.shape[0], side)
    left, right, columns = _corner_samples(image.shape[1], side)
    values = image.astype(np.float32)
    upper = values[top][:, left] + (values[top][:, right] - values[top][:, left]) * columns[None, :, None]
    lower = values[bottom][:, left] + (values[bottom][:, right] - values[bottom][:, left]) * columns[None, :, None]
    return upper + (lower - upper) * rows[:, None, None]


def _corner_samples(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    position = np.arange(target, dtype=np.float32) * np.float32(source / target)
    first = np.floor(position).astype(np.intp)
    return first, np.minimum(first + 1, source - 1), (position - first).astype(np.float32)


_INCEPTION: dict[str, Callable[[NDArray[np.uint8], int], NDArray[np.float32]]] = {
    "clean": _clean,
    "pytorch_fid": _pytorch_fid,
    "torch_fidelity": _torch_fidelity,
    "torchmetrics": _torchmetrics,
}
