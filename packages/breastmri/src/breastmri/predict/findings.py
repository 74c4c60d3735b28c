"""A model and a study -> what is found in each breast, in millimetres and on the study's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._shared.errors import DataError
from ..classifier import Classifier
from ..data.study import Side, Study
from ..geometry import to_voxels
from ..kinetics import Kinetics, region_kinetics, sphere, wash_in
from ..localize import BASELINE, Location, available_localisers, locate
from ..preprocess import BreastInput, breast_inputs

CANDIDATE_MM = 4.0  # radius of the sphere whose curve a candidate shows
MIN_APART_MM = 10.0
MIN_SHARE = 0.25  # of the map's range; weaker peaks are no candidates


@dataclass(frozen=True)
class Candidate:
    """A place that the map points at.

    Attributes:
        side: the breast.
        rank: 1 is the hottest of its breast.
        center_mm: RAS+.
        score: the map's value there; comparable within one breast only.
        in_breast: whether it lies in the breast's region; the first candidate may lie outside.
        kinetics: of a sphere of 4 mm around it; None outside of the volume.
    """

    side: Side
    rank: int
    center_mm: tuple[float, float, float]
    score: float
    in_breast: bool
    kinetics: Kinetics | None


@dataclass(frozen=True, eq=False)
class BreastFinding:
    """What the model says about one breast.

    Attributes:
        side: the breast.
        score: what the network gives: a cosine, or a logit of a linear head.
        prob: of malignancy.
        location: centre and map of the localiser.
        baseline: the same from enhancement alone.
        candidates: peaks of the map, hottest first.
        problems: why the breast's region should be looked at.
    """

    side: Side
    score: float
    prob: float
    location: Location
    baseline: Location
    candidates: tuple[Candidate, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Everything about one study.

    Attributes:
        breasts: one finding per breast.
        coam: (X, Y, Z) float32, 0 outside of the breasts.
        contribution: (X, Y, Z) float32 in cosine points per cell of the network's map; None for models without it.
        wash_in: median relative enhancement of tissue in each post-contrast phase.
    """

    breasts: tuple[BreastFinding, ...]
    coam: np.ndarray
    contribution: np.ndarray | None
    wash_in: tuple[float, ...]


def predict_study(
    classifier: Classifier,
    study: Study,
    *,
    localiser: str = "coam",
    flips: int = 2,
    allow_suspicious: bool = False,
) -> Prediction:
    """Score both breasts and find candidates.

    Args:
        classifier: the trained model.
        study: the examination.
        localiser: of the map that candidates come from.
        flips: 1, 2 or 8 mirrored passes whose maps are averaged.
        allow_suspicious: go on although the phases seem to be in the wrong order.

    Raises:
        ConfigError: unknown localiser.
        DataError: phases in the wrong order, too few of them, or a breast without contrast.
    """
    changes = wash_in(study)
    if not allow_suspicious:
        _require_order(study, changes)
    inputs = breast_inputs(study, classifier.plan)
    scores = classifier.scores(inputs)
    probs = classifier.probs(scores)
    locations = locate(classifier, inputs, localiser, flips=flips)
    baselines = locate(classifier, inputs, BASELINE, flips=1)
    breasts = tuple(
        BreastFinding(
            breast.side,
            float(score),
            float(prob),
            location,
            baseline,
            _candidates(breast, location, study),
            breast.problems,
        )
        for breast, score, prob, location, baseline in zip(
            inputs, scores, probs, locations, baselines, strict=True
        )
    )
    return Prediction(
        breasts,
        _on_study(inputs, locations, study),
        _contribution(classifier, inputs, study, flips),
        changes,
    )


def _require_order(study: Study, changes: Sequence[float]) -> None:
    suspicious = [text for text in study.warnings if "suspicious" in text]
    for number, change in enumerate(changes, start=2):
        if not change > 0:
            raise DataError(
                f"phase order suspicious: tissue changes by {100 * change:.1f} % from phase 1 to phase {number}, "
                "expected a rise; order the phases pre-contrast first, or go on with --allow"
            )
    if suspicious:
        raise DataError(f"{suspicious[0]}; check the series, or go on with --allow")


def _candidates(breast: BreastInput, location: Location, study: Study) -> tuple[Candidate, ...]:
    """The centre of the hottest region first, then other peaks inside the breast that are not much weaker."""
    found = [_candidate(breast, 1, location.center_mm, location.peak, study)]
    low = float(location.cells.min())
    least = low + MIN_SHARE * (location.peak - low)
    for peak in location.candidates():
        near = any(np.linalg.norm(np.subtract(peak.center_mm, c.center_mm)) < MIN_APART_MM for c in found)
        if peak.score >= least and not near and _in_region(breast, peak.center_mm):
            found.append(_candidate(breast, len(found) + 1, peak.center_mm, peak.score, study))
    return tuple(found)


def _candidate(
    breast: BreastInput, rank: int, center_mm: tuple[float, float, float], score: float, study: Study
) -> Candidate:
    inside = _in_region(breast, center_mm)
    return Candidate(breast.side, rank, center_mm, score, inside, _kinetics(study, center_mm))


def _in_region(breast: BreastInput, center_mm: tuple[float, float, float]) -> bool:
    index = np.rint(np.linalg.solve(breast.affine[:3, :3], np.array(center_mm) - breast.affine[:3, 3])).astype(int)
    if (index < 0).any() or (index >= breast.region.shape).any():
        return False
    return bool(breast.region[tuple(index)])


def _kinetics(study: Study, center_mm: tuple[float, float, float]) -> Kinetics | None:
    try:
        return region_kinetics(study, sphere(study, center_mm, CANDIDATE_MM))
    except DataError:  # the network's window may reach beyond the volume
        return None


def _contribution(
    classifier: Classifier, inputs: Sequence[BreastInput], study: Study, flips: int
) -> np.ndarray | None:
    if "contribution" not in available_localisers(classifier):
        return None
    return _on_study(inputs, locate(classifier, inputs, "contribution", flips=flips), study)


def _on_study(inputs: Sequence[BreastInput], locations: Sequence[Location], study: Study) -> np.ndarray:
    """The maps of all breasts on the study's voxels; each breast's own region takes its own map."""
    whole = np.zeros(study.shape, np.float32)
    for breast, location in zip(inputs, locations, strict=True):
        voxels = to_voxels(location.cells, location.grid, breast.window.shape)
        inside = breast.window.spread(breast.region.astype(np.float32), study.shape) >= 0.5
        spread = breast.window.spread(np.asarray(voxels, np.float32), study.shape)
        whole[inside] = spread[inside]
    return whole
