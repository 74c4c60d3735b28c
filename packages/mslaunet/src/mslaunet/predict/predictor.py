"""From a loaded case to labels, quality and maps, slab by slab, so that no class volume ever exists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from logging import DEBUG, INFO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._shared.logs import get_logger
from ..data.loading import LoadedCase
from ..postprocess import PostProcessing, postprocess
from ..preprocess import Preprocessing
from ..transforms import stack_context
from .members import Members
from .memory import case_bytes, choose_batch, peak_bytes, resident_bytes, slice_bytes
from .options import MapName, PredictOptions
from .sliding import SlidingWindow
from .views import VIEWS, Network, look

log = get_logger(__name__)

ProbabilitySink = Callable[[int, np.ndarray], None]


@dataclass(frozen=True)
class Segmentation:
    """What is known of one case after prediction.

    Attributes:
        labels: (D, H, W) label ids on the case's own grid, uint8 (uint16 above 256 classes).
        maps: uncertainty maps (D, H, W) float32 that were asked for.
        predicted_dice: expected Dice of each class that was predicted, see `expected_dice`.
        estimated_bytes: peak memory of the process that was foreseen.
        peak_bytes: the peak that was measured, over the life of the process.
    """

    labels: np.ndarray
    maps: dict[MapName, np.ndarray] = field(default_factory=dict)
    predicted_dice: dict[int, float] = field(default_factory=dict)
    estimated_bytes: int = 0
    peak_bytes: int = 0


@dataclass(frozen=True)
class _Slab:
    start: int
    labels: np.ndarray
    probs: Tensor
    maps: dict[MapName, np.ndarray]


@dataclass(frozen=True)
class Predictor:
    """Trained networks with all that leads from a file to a mask on the file's own grid.

    Attributes:
        model: (B, C, H, W) in [-1, 1] -> logits (B, K, H, W), in eval mode on `device`.
        plan: the preprocessing of training.
        classes: label id to name.
        mask_values: pixel value to label id of 2-D masks; empty: the pixel value is the label id.
        device: where the networks run.
        batch_size: slices per forward pass; None: as many as fit.
        options: windows, test-time augmentation, precision.
        others: further networks of an ensemble, trained with the same plan and classes.
        postprocessing: what was chosen on validation; None: nothing.
    """

    model: nn.Module
    plan: Preprocessing
    classes: dict[int, str]
    mask_values: dict[int, int]
    device: torch.device
    batch_size: int | None = None
    options: PredictOptions = field(default_factory=PredictOptions)
    others: tuple[nn.Module, ...] = ()
    postprocessing: PostProcessing | None = None

    @property
    def members(self) -> int:
        """Answers that are averaged: models x views."""
        return (1 + len(self.others)) * len(VIEWS[self.options.tta])

    def predict(self, loaded: LoadedCase) -> np.ndarray:
        """Label ids (D, H, W) on the case's own grid, uint8 (uint16 above 256 classes)."""
        return self.segment(loaded).labels

    def segment(
        self,
        loaded: LoadedCase,
        *,
        maps: Sequence[MapName] = (),
        probabilities: ProbabilitySink | None = None,
        advance: Callable[[int], None] = lambda slices: None,
    ) -> Segmentation:
        """Segment a case.

        Slices go through one slab after the other: scores are brought to the native size and reduced to labels at
        once, so the class scores of the whole volume never exist together.

        Args:
            loaded: the case.
            maps: uncertainty maps to keep; mutual information and variance are 0 for a single answer.
            probabilities: called with the first slice and the class probabilities (b, K, H, W) of every slab.
            advance: called with the number of slices of every slab that is done.

        Raises:
            ResourceError: one slice does not fit the memory.
        """
        depth, height, width = loaded.image.shape[1:]
        labels = np.empty((depth, height, width), np.uint8 if len(self.classes) <= 256 else np.uint16)
        kept = {name: np.empty((depth, height, width), np.float32) for name in maps}
        sums = np.zeros((3, len(self.classes)))
        batch, estimate = self._budget(loaded, len(maps))
        for slab in self._slabs(loaded, batch, maps):
            where = slice(slab.start, slab.start + len(slab.labels))
            labels[where] = slab.labels
            for name, plane in slab.maps.items():
                kept[name][where] = plane
            sums += _quality_sums(slab.labels, slab.probs)
            if probabilities is not None:
                probabilities(slab.start, slab.probs.cpu().numpy())
            advance(len(slab.labels))
        if self.postprocessing is not None:
            labels = postprocess(labels, self.postprocessing, loaded.spacing_mm)
        quality = {c: expected_dice(*sums[:, c]) for c in self.classes if c > 0 and sums[0, c] > 0}
        return Segmentation(labels, kept, quality, estimate, peak_bytes())

    def _budget(self, loaded: LoadedCase, maps: int) -> tuple[int, int]:
        """Slices per pass, and the peak memory that this leads to."""
        channels, depth, height, width = loaded.image.shape
        size = self.plan.plane_size((height, width), loaded.spacing_mm[1:])
        per_slice = slice_bytes(
            self.model, (self.plan.input_channels, *size), (height, width), len(self.classes), self.members
        )
        whole = not self.plan.is_pointwise
        fixed = resident_bytes() + case_bytes((channels, depth, height, width), maps, whole=whole)
        batch = choose_batch(self.batch_size, per_slice, depth, fixed, self.options.max_memory_gb)
        estimate = fixed + batch * per_slice
        log.log(
            INFO if depth > 1 else DEBUG,
            "%d slices of %d x %d in slabs of %d: peak memory will be about %.2f GB",
            *(depth, height, width, batch, estimate / 1e9),
        )
        return batch, estimate

    def _slabs(self, loaded: LoadedCase, batch: int, maps: Sequence[MapName]) -> Iterator[_Slab]:
        depth, height, width = loaded.image.shape[1:]
        size = self.plan.plane_size((height, width), loaded.spacing_mm[1:])
        whole = None if self.plan.is_pointwise else self.plan.normalise(loaded.image)
        for start in range(0, depth, batch):
            stop = min(start + batch, depth)
            planes = self._planes(loaded.image, whole, start, stop, size)
            yield self._slab(start, planes, (height, width), maps)

    def _planes(
        self, image: np.ndarray, whole: np.ndarray | None, start: int, stop: int, size: tuple[int, int]
    ) -> np.ndarray:
        """Network input (b, C, h, w) of the slices from `start` to `stop`, with their neighbours (2.5-D)."""
        reach = self.plan.context_slices
        low, high = max(0, start - reach), min(image.shape[1], stop + reach)
        part = self.plan.normalise(image[:, low:high]) if whole is None else whole[:, low:high]
        part = self.plan.resize_image(part, size)
        return np.stack([stack_context(part, z - low, reach) for z in range(start, stop)])

    @torch.inference_mode()
    def _slab(self, start: int, planes: np.ndarray, native: tuple[int, int], maps: Sequence[MapName]) -> _Slab:
        batch = torch.from_numpy(planes).to(self.device)
        members = Members()
        spread = bool({"mutual_information", "variance"} & set(maps))
        early = self.plan.argmax_before_resize  # T8: the answer is cut to labels on the network's grid
        for model in (self.model, *self.others):
            network = self._network(model)
            for view in VIEWS[self.options.tta]:
                logits = look(network, batch, view).float()
                members.add(logits if early else _resized(logits, native), spread=spread)
        probs = members.mean()
        labels = probs.argmax(1).cpu().numpy()
        kept = {name: _resized(members.map(name, probs)[:, None], native)[:, 0].cpu().numpy() for name in maps}
        if early:
            labels, probs = self.plan.resize_mask(labels.astype(np.int32), native), _resized(probs, native)
        return _Slab(start, labels, probs, kept)

    def _network(self, model: nn.Module) -> Network:
        def forward(planes: Tensor) -> Tensor:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bf16"):
                return model(planes)

        if self.options.window_px is None:
            return forward
        return SlidingWindow(forward, self.options.window_px, self.options.overlap)


def expected_dice(size: float, inside: float, everywhere: float) -> float:
    """Dice that a mask should have if its probabilities are right (our choice): 2 sum_M p / (|M| + sum p).

    Args:
        size: voxels of the mask M.
        inside: sum of the class's probability inside M.
        everywhere: sum of the class's probability over the whole case.

    Example:
        >>> expected_dice(4, 4.0, 4.0), round(expected_dice(4, 2.0, 3.0), 4)
        (1.0, 0.5714)
    """
    return float(2 * inside / (size + everywhere))


def _quality_sums(labels: np.ndarray, probs: Tensor) -> np.ndarray:
    """(3, K): voxels of each mask, probability inside it, probability everywhere."""
    classes = probs.shape[1]
    own = probs.gather(1, torch.from_numpy(labels.astype(np.int64))[:, None].to(probs.device))[:, 0]
    flat = labels.ravel().astype(np.int64)
    return np.stack(
        [
            np.bincount(flat, minlength=classes),
            np.bincount(flat, own.cpu().numpy().ravel(), minlength=classes),
            probs.sum((2, 3)).cpu().double().sum(0).numpy(),
        ]
    )


def _resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores or maps (B, K, h, w) at the native size."""
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values, size=size, mode="bilinear")
