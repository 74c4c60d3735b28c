"""From a loaded case to the network's grid and back. The plan is data: it travels with the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from ._shared.config import FrozenModel
from ._shared.errors import ConfigError, DataError
from ._shared.io.images import MAX_PIXELS
from .compat import zoom_labels, zoom_planes
from .config import CompatConfig, DataConfig
from .data.dataset import Dataset

# Mean and standard deviation of ImageNet's RGB channels in [0, 1].
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Preprocessing(FrozenModel):
    """How intensities and pixels were prepared in training, so that prediction does the same.

    Equation (our choice): window: 2 (clip(x, low, high) - low) / (high - low) - 1. zscore: clip to the 0.5 and 99.5
    percentiles of the case, then (x - mean) / (3 sd), clipped to [-1, 1]. unit: 2 x - 1 for x in [0, 1]. imagenet:
    (x - mean) / sd per channel for RGB x in [0, 1].
    """

    intensity: Literal["window", "zscore", "unit", "imagenet"]
    window_low: float = -125.0
    window_high: float = 275.0
    pixel_mm: float | None = Field(None, gt=0)
    num_channels: int = Field(ge=1)
    resize_px: int | None = Field(None, ge=1)
    context_slices: int = Field(0, ge=0)
    zoom_edge: bool = False
    argmax_before_resize: bool = False

    @property
    def input_channels(self) -> int:
        """Channels that the network sees: those of the image, for a slice and its neighbours."""
        return self.num_channels * (2 * self.context_slices + 1)

    @property
    def is_pointwise(self) -> bool:
        """Whether a slab is normalised without seeing the rest of the case."""
        return self.intensity != "zscore"

    @property
    def black(self) -> list[float]:
        """The normalised value of the lowest intensity, one per channel: air, or the border of a photograph."""
        if self.intensity == "imagenet":
            return [-mean / sd for mean, sd in zip(*IMAGENET, strict=True)]
        return [-1.0] * self.num_channels

    @property
    def white(self) -> list[float]:
        """The normalised value of the highest intensity, one per channel."""
        if self.intensity == "imagenet":
            return [(1 - mean) / sd for mean, sd in zip(*IMAGENET, strict=True)]
        return [1.0] * self.num_channels

    def require_kind(self, image: np.ndarray, name: str, *, is_volume: bool) -> None:
        """Check that a case is of the kind that this preprocessing is for; `name` is for the message.

        Raises:
            DataError: a photograph for a window in HU, or a volume outside [0, 1] for the unit range.
        """
        if self.intensity == "window" and not is_volume:
            raise DataError(f"{name}: a 2-D image, but the model reads volumes in HU; give it NIfTI volumes")
        if self.intensity in ("unit", "imagenet") and is_volume and not (image.min() >= 0 and image.max() <= 1):
            raise DataError(
                f"{name}: intensities from {image.min():g} to {image.max():g}, but the model reads images in [0, 1]"
            )

    def normalise(self, image: np.ndarray) -> np.ndarray:
        """(C, D, H, W) raw intensities -> float32 in [-1, 1]."""
        if self.intensity == "window":
            span = self.window_high - self.window_low
            return ((image.clip(self.window_low, self.window_high) - self.window_low) * (2 / span) - 1).astype(
                np.float32
            )
        if self.intensity == "unit":
            return (image * 2 - 1).astype(np.float32)
        if self.intensity == "imagenet":
            mean, sd = (np.array(values, np.float32)[:, None, None, None] for values in IMAGENET)
            return (image - mean) / sd
        return np.stack([_zscore(channel) for channel in image])

    def plane_size(self, shape: Sequence[int], spacing_mm: Sequence[float]) -> tuple[int, int]:
        """Size (H, W) on the network's grid of a slice of `shape` (H, W) and (row, column) spacing.

        Raises:
            ConfigError: the pixels are so small that no memory would hold the slices.
        """
        height, width = shape
        if self.resize_px is not None:
            return self.resize_px, self.resize_px
        if self.pixel_mm is None:
            return height, width
        row, column = spacing_mm
        size = max(1, round(height * row / self.pixel_mm)), max(1, round(width * column / self.pixel_mm))
        if size[0] * size[1] > MAX_PIXELS:
            raise ConfigError(
                f"data.pixel_mm {self.pixel_mm} makes slices of {size[0]} x {size[1]} pixels, the limit is "
                f"{MAX_PIXELS} in all; choose larger pixels"
            )
        return size

    def resize_image(self, planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Normalised slices (C, D, H, W) at another size."""
        return zoom_planes(planes, size) if self.zoom_edge else resize_planes(planes, size)

    def resize_mask(self, labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Label slices (D, H, W) at another size."""
        return zoom_labels(labels, size) if self.zoom_edge else resize_labels(labels, size)


def plan_preprocessing(dataset: Dataset, config: DataConfig, compat: CompatConfig | None = None) -> Preprocessing:
    """Resolve the automatic choices for a data set.

    Raises:
        ConfigError: a window in HU for 2-D images, which are in [0, 1].
    """
    if config.intensity == "window" and not dataset.is_volumetric:
        raise ConfigError("data.intensity window is in HU, and 2-D images are in [0, 1]; use unit or zscore")
    compat = compat or CompatConfig()
    intensity = config.intensity
    is_rgb = not dataset.is_volumetric and len(dataset.channels) == 3
    if intensity == "auto" or (intensity == "imagenet" and not is_rgb):
        is_ct = all(name.upper() == "CT" for name in dataset.channels)
        intensity = "unit" if not dataset.is_volumetric else "window" if is_ct else "zscore"
    return Preprocessing(
        intensity=intensity,
        window_low=config.window_low,
        window_high=config.window_high,
        pixel_mm=config.pixel_mm if dataset.is_volumetric else None,
        num_channels=len(dataset.channels),
        resize_px=config.resize_px,
        context_slices=config.context_slices if dataset.is_volumetric else 0,
        zoom_edge=compat.zoom_edge,
        argmax_before_resize=compat.argmax_before_resize,
    )


def resize_planes(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize slices (C, D, H, W) bilinearly to `size`, averaging when shrinking (no aliasing)."""
    if planes.shape[-2:] == size:
        return planes
    import torch  # not above: the runner of exported models reads a plan without torch
    import torch.nn.functional as F

    tensor = torch.from_numpy(np.ascontiguousarray(planes))
    return F.interpolate(tensor, size=size, mode="bilinear", antialias=True).numpy()


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize label slices (D, H, W) to `size`, nearest pixel centre.

    scipy.ndimage.zoom is not used: from 512 to 224 it zeroes the last row and column (specs, row T5).
    """
    if labels.shape[-2:] == size:
        return labels
    import torch
    import torch.nn.functional as F

    tensor = torch.from_numpy(labels.astype(np.float32))[None]
    return F.interpolate(tensor, size=size, mode="nearest-exact")[0].numpy().astype(labels.dtype)


def _zscore(channel: np.ndarray) -> np.ndarray:
    low, high = np.percentile(channel, (0.5, 99.5))
    clipped = channel.clip(low, high)
    spread = 3 * float(clipped.std())
    if spread == 0:
        return np.zeros_like(channel, dtype=np.float32)
    return ((clipped - clipped.mean()) / spread).clip(-1, 1).astype(np.float32)
