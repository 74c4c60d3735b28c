"""What synthetic scans show: eight discs with a known answer, class = round(9 x intensity).

Class c sits at (0.20 + 0.07 c, 0.80 - 0.07 c) of the frame with radius 5 % of its height, and its intensity tells its
class: c / 9, plus a little noise (specs, section 4.4). NIfTI and DICOM files have unequal spacing, a flipped axis and
a 10 degree tilt, so that a loader that ignores the affine is found out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

NUM_CLASSES = 9


def tilted_affine() -> np.ndarray:
    """Affine (4, 4) with spacing 0.8 x 0.7 x 5 mm, the first axis flipped, tilted by 10 degrees about x."""
    angle = np.deg2rad(10)
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = tilt @ np.diag([-0.8, 0.7, 5.0])
    affine[:3, 3] = (25.0, -20.0, 100.0)
    return affine


def disc_labels(side_px: int) -> np.ndarray:
    """Label ids (side, side) of the eight discs."""
    row, column = np.mgrid[:side_px, :side_px] / side_px
    labels = np.zeros((side_px, side_px), np.uint8)
    for c in range(1, NUM_CLASSES):
        labels[(row - 0.20 - 0.07 * c) ** 2 + (column - 0.80 + 0.07 * c) ** 2 <= 0.05**2] = c
    return labels


def disc_volume(
    side_px: int, slices: int, rng: np.random.Generator, ids: Mapping[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Image (side, side, slices) float32 in [0, 1] and label ids; `ids` renames the discs, those it leaves out go.

    The discs keep the intensity of their own number, whatever they are called.
    """
    discs = disc_labels(side_px)
    if ids is not None:
        discs = np.where(np.isin(discs, list(ids)), discs, 0).astype(np.uint8)
    discs = np.repeat(discs[:, :, None], slices, axis=2)
    image = (discs / NUM_CLASSES + rng.normal(0, 0.02, discs.shape)).clip(0, 1).astype(np.float32)
    if ids is None:
        return image, discs
    table = np.zeros(NUM_CLASSES, np.uint8)
    for disc, label in ids.items():
        table[disc] = label
    return image, table[discs]


def to_hu(image: np.ndarray) -> np.ndarray:
    """[0, 1] -> whole HU in [-125, 275], the window of the Synapse files."""
    return np.rint(image * 400 - 125).astype(np.int16)
