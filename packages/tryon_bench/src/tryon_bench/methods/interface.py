"""What a method is: a callable from a person, a garment and conditions to an image; and what conditions are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Conditions:
    """What is known besides the two pictures.

    Attributes:
        pair_id: name of the row.
        category: upper_body, lower_body or dresses.
        garment_mask: (h, w) on the garment's photo.
        target: (H, W) where the garment goes: the area of the worn one in the parse, or the agnostic mask. In the
            paired setting its outline is that of the answer, as in most parser-based methods.
        repaint: (H, W) what may change; contains `target`.
        keep: (H, W) what is put back after painting: arms, head, hair, other clothes.
        front: (H, W) the part of `keep` that lies in front of any garment: arms, head, hair, bag.
        keypoints: (18, 3) COCO-18, NaN where missing; None without keypoints.
        seed: of this pair, from the run's seed and the pair's name, so that order and batches change nothing.
        files: role -> file, for programs that read them themselves.
        reference: the answer, in the paired setting; for `oracle` only.
        known_warp: file of the spline that dressed a synthetic person; for `oracle_warp` and for end-point errors.
    """

    pair_id: str
    category: str
    garment_mask: Mask
    target: Mask
    repaint: Mask
    keep: Mask
    front: Mask
    keypoints: NDArray[np.float64] | None
    seed: int
    files: dict[str, Path]
    reference: Path | None = None
    known_warp: Path | None = None

    @property
    def hole(self) -> Mask:
        """What has to be painted: everything that may change but what is put back."""
        return self.repaint & ~self.keep


class Method(Protocol):
    """A try-on method.

    Attributes:
        id: under which it is registered.
        version: changes with its results; stands in the manifest of a run.
        note: what has to stand beside its numbers, such as that it knows the answer; mostly empty.
    """

    @property
    def id(self) -> str: ...  # noqa: D102  # described above

    @property
    def version(self) -> str: ...  # noqa: D102

    @property
    def note(self) -> str: ...  # noqa: D102

    def __call__(self, person: Image, garment: Image, conditions: Conditions) -> Image:
        """Dress a person.

        Args:
            person: (H, W, 3) uint8.
            garment: (h, w, 3) uint8, shop photo.
            conditions: what else is known.

        Returns:
            (H, W, 3) uint8.
        """
