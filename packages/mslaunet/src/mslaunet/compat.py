"""What the official code does and should not: each defect as one pure function, used only under its named switch.

Numbers such as T5 are the rows of PARITY.md. Nothing here is a default; `recipes/*_official.toml` turn it on.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

# Standard deviation of the official Gaussian noise: 0.005 x 255, on slices that are already in 0..1 (T4).
NOISE_FOR_255 = 1.275


def zoom_planes(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize slices (..., H, W) by cubic splines as scipy does by default, lost edge included (T5).

    From 512 to 224 the last row and column come back as zeros, because the coordinates are rounded past the edge.
    The input is in [-1, 1]; the zeros are those of the official [0, 1] range, so they become -1 here.
    """
    return _zoom((planes + 1) / 2, size, order=3) * 2 - 1


def zoom_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize label slices (..., H, W) by nearest neighbour as scipy does by default, lost edge included (T5)."""
    return _zoom(labels, size, order=0)


def replayed(rng: np.random.Generator, draws: int) -> np.random.Generator:
    """A generator among only `draws` different ones, whatever epoch or sample asks (T3).

    The official augmenter's global generator is replayed by every worker in every epoch: with 8 workers and 93
    batches of 24 there are 288 draws in all, which shuffling deals to ever other samples.
    """
    return np.random.Generator(np.random.Philox(key=int(rng.integers(draws))))


def scaled_rate(lr: float, batch_size: int) -> float:
    """Learning rate after the official rule: times batch / 24, but only where 5 divides the batch (T13).

    >>> scaled_rate(0.05, 12), scaled_rate(0.05, 24), round(scaled_rate(0.05, 10), 6)
    (0.05, 0.05, 0.020833)
    """
    return lr * batch_size / 24 if batch_size != 24 and batch_size % 5 == 0 else lr


def soft_iou(probs: np.ndarray, target: np.ndarray) -> float:
    """(sum p t + 1) / (sum p + sum t - sum p t + 1) over a whole batch, no threshold (T12)."""
    overlap = float((probs * target).sum())
    return (overlap + 1) / (float(probs.sum()) + float(target.sum()) - overlap + 1)


def smoothed_scores(pred: np.ndarray, ref: np.ndarray) -> dict[str, float]:
    """Dice and IoU of one binary image with 1 added above and below, so that empty against empty is 1 (T12)."""
    overlap, total = int(np.count_nonzero(pred & ref)), int(np.count_nonzero(pred)) + int(np.count_nonzero(ref))
    return {"dice": (2 * overlap + 1) / (total + 1), "iou": (overlap + 1) / (total - overlap + 1)}


def _zoom(array: np.ndarray, size: tuple[int, int], order: int) -> np.ndarray:
    if array.shape[-2:] == size:
        return array
    factors = (size[0] / array.shape[-2], size[1] / array.shape[-1])
    planes = array.reshape(-1, *array.shape[-2:])
    out = np.stack([ndimage.zoom(plane, factors, order=order) for plane in planes])
    if out.shape[-2:] != size:  # cannot happen: scipy rounds side x factor, and factor is size / side
        raise ValueError(f"zoom gave {out.shape[-2:]}, expected {size}")
    return out.reshape(*array.shape[:-2], *size).astype(array.dtype)
