"""Heat maps of sentences, and whether they lie where the reader drew the box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from ._shared.errors import DataError
from ._shared.logs import progress
from ._shared.metrics.statistics import patient_bootstrap
from .data.pairs import Pair, PairDataset, Region
from .encoders import Encoder, pair_tensor
from .metrics.grounding import contrast_to_noise, map_iou, pointing_game
from .prompts import default_prompts
from .transforms import Frame, boxes_in_frame

IOU_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)  # of the cosine, as BioViL reports them


@dataclass(frozen=True)
class Measure:
    """A mean over sentences with its patient bootstrap interval; `undefined` sentences are left out and counted."""

    value: float
    low: float
    high: float
    n: int
    undefined: int


@dataclass(frozen=True)
class Grounding:
    """How sentences are grounded.

    Attributes:
        pointing: share of sentences whose brightest pixel lies in a box.
        pointing_chance: mean share of the film that the boxes cover: the score of a constant map.
        others: pointing in the same boxes by the maps of sentences about other labels (of the eight most
            frequent), the chance of a map that follows what is conspicuous in the film and not the sentence. Undefined
            where there is one label.
        specific: pointing less `others`, paired by sentence; 0 for a map that does not follow the sentence.
        cnr: contrast-to-noise ratio, signed.
        iou: mean IoU over the cosine thresholds 0.1 to 0.5.
        by_label: label to pointing and its chance.
        hits: (n,) pointing of every sentence, in order.
    """

    pointing: Measure
    pointing_chance: float
    others: Measure
    specific: Measure
    cnr: Measure
    iou: Measure
    by_label: dict[str, tuple[float, float, int]]
    hits: NDArray[np.float64]
    patients: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The result without what belongs to single sentences."""
        measures = {name: asdict(getattr(self, name)) for name in ("pointing", "others", "specific", "cnr", "iou")}
        labels = {k: dict(zip(("pointing", "chance", "n"), v, strict=True)) for k, v in self.by_label.items()}
        return {**measures, "pointing_chance": self.pointing_chance, "by_label": labels}


def sentence_maps(encoder: Encoder, image: Tensor, sentences: Sequence[str]) -> NDArray[np.float32]:
    """Cosine of each text with each patch of a film, at the tensor's size.

    A text of several sentences is taken as the mean of its sentence vectors.

    Args:
        encoder: the model.
        image: (1, S, S) in [-1, 1].
        sentences: N texts.

    Returns:
        (N, S, S) in [-1, 1], bilinear between patch centres.
    """
    features = encoder.encode_image(image[None].to(encoder.device))
    rows = encoder.encode_text(list(sentences)).sentences
    vectors = torch.stack([part.mean(0) for part in rows.split()])
    vectors = torch.nn.functional.normalize(vectors, dim=-1)
    maps = (vectors @ features.patches[0].T).reshape(len(vectors), 1, *features.grid)
    size = (encoder.side_px, encoder.side_px)
    return interpolate(maps.float(), size, mode="bilinear", align_corners=False)[:, 0].cpu().numpy()


def region_mask(regions: Sequence[Region], frame: Frame) -> NDArray[np.bool_]:
    """Union (S, S) of the regions' boxes in a tensor's frame."""
    mask = np.zeros((frame.side_px, frame.side_px), bool)
    for x0, y0, x1, y1 in boxes_in_frame([region.box for region in regions], frame):
        rows = slice(round(y0 * frame.side_px), max(round(y1 * frame.side_px), round(y0 * frame.side_px) + 1))
        columns = slice(round(x0 * frame.side_px), max(round(x1 * frame.side_px), round(x0 * frame.side_px) + 1))
        mask[rows, columns] = True
    return mask


def ground(encoder: Encoder, dataset: PairDataset, *, quiet: bool = True) -> Grounding:
    """Ground every sentence that has boxes. A box without sentence is asked for by its label ("There is ...").

    Raises:
        DataError: no sample has a box, or a film cannot be read.
    """
    rows: list[tuple[str, str, float, float, float, float, float]] = []
    pairs = [pair for pair in dataset if pair.regions]
    if not pairs:
        raise DataError(f"{dataset.name}: no boxes; grounding needs a set such as MS-CXR or PadChest-GR")
    phrases = _frequent_phrases(pairs)
    with progress(len(pairs), "grounding", quiet=quiet) as bar:
        for pair in pairs:
            rows += _ground_pair(encoder, pair, phrases)
            bar.update()
    patients = tuple(row[0] for row in rows)
    columns = np.array([row[2:] for row in rows], np.float64)
    hits, covered = columns[:, 0], columns[:, 3]
    labels: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        labels.setdefault(row[1], []).append(i)
    return Grounding(
        _measure(hits, patients),
        float(np.nanmean(covered)),
        _measure(columns[:, 4], patients),
        _measure(hits - columns[:, 4], patients),
        _measure(columns[:, 1], patients),
        _measure(columns[:, 2], patients),
        {k: (float(np.nanmean(hits[v])), float(np.nanmean(covered[v])), len(v)) for k, v in labels.items()},
        hits,
        patients,
    )


def _ground_pair(
    encoder: Encoder, pair: Pair, labels: Mapping[str, str]
) -> list[tuple[str, str, float, float, float, float, float]]:
    """Patient, label, pointing, CNR, IoU, covered share and pointing of other labels' phrases, per phrase of a film."""
    image, frame = pair_tensor(pair, encoder)
    phrases: dict[str, list[Region]] = {}
    for region in pair.regions:
        phrases.setdefault(_phrase(region), []).append(region)
    maps = sentence_maps(encoder, image, [*phrases, *labels.values()])
    foreign = dict(zip(labels, maps[len(phrases) :], strict=True))
    rows = []
    for heat, regions in zip(maps[: len(phrases)], phrases.values(), strict=True):
        mask = region_mask(regions, frame)
        overlap = float(np.mean([map_iou(heat, mask, t) for t in IOU_THRESHOLDS]))
        covered = float(mask.mean()) if mask.any() else float("nan")
        point, contrast = pointing_game(heat, mask), contrast_to_noise(heat, mask)
        elsewhere = [pointing_game(other, mask) for label, other in foreign.items() if label != regions[0].label]
        others = float(np.mean(elsewhere)) if elsewhere else float("nan")
        rows.append((pair.patient_id, regions[0].label, point, contrast, overlap, covered, others))
    return rows


def _frequent_phrases(pairs: Sequence[Pair], most: int = 8) -> dict[str, str]:
    """The most frequent labels of boxes, each with the first of its phrases."""
    regions = [region for pair in pairs for region in pair.regions]
    first = {region.label: _phrase(region) for region in reversed(regions)}
    return {label: first[label] for label, _ in Counter(region.label for region in regions).most_common(most)}


def _phrase(region: Region) -> str:
    """The sentence of a box; a box without one is asked for by its label."""
    return region.sentence or default_prompts([region.label])[region.label].positive[0]


def _measure(values: NDArray[np.float64], patients: Sequence[str]) -> Measure:
    defined = ~np.isnan(values)
    kept = [p for p, d in zip(patients, defined, strict=True) if d]
    if not kept:
        return Measure(float("nan"), float("nan"), float("nan"), 0, len(values))
    interval = patient_bootstrap(values[defined], kept, n_resamples=1000)
    return Measure(interval.estimate, interval.low, interval.high, len(kept), int((~defined).sum()))
