"""Films and reports with planted structure: each finding is a bright shape at a place of its own, named in a sentence.

Nothing here looks like disease. What is planted is the relation: which sentence belongs to which place in which film.
So a model that learned from pairs must find the place, and one that did not cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._shared.order import generator
from ..data.pairs import ABSENT, PRESENT, Pair, PairDataset, Region, Split
from ..prompts import Prompts

SHARE_PRESENT = 0.35  # chance of each finding; a third keeps films of no, one and several findings common


@dataclass(frozen=True)
class Finding:
    """A planted finding.

    Attributes:
        name: as the CheXpert labeller calls it.
        term: as sentences call it.
        place: where, in words.
        centre: (x, y) in fractions of the film; the patient's right is on the left, as in a film.
        radii: (x, y) half axes in fractions of the film.
    """

    name: str
    term: str
    place: str
    centre: tuple[float, float]
    radii: tuple[float, float]


FINDINGS = (
    Finding("Cardiomegaly", "cardiomegaly", "with an enlarged cardiac silhouette", (0.53, 0.62), (0.13, 0.10)),
    Finding("Consolidation", "consolidation", "in the right upper lobe", (0.27, 0.27), (0.08, 0.08)),
    Finding("Atelectasis", "atelectasis", "at the left lung base", (0.75, 0.76), (0.12, 0.035)),
    Finding("Pleural Effusion", "pleural effusion", "on the right", (0.22, 0.80), (0.10, 0.05)),
    Finding("Pneumothorax", "pneumothorax", "at the left apex", (0.72, 0.18), (0.06, 0.05)),
    Finding("Edema", "interstitial edema", "around the left hilum", (0.70, 0.46), (0.06, 0.10)),
)
FINDING_NAMES = tuple(finding.name for finding in FINDINGS)

_PRESENT_SENTENCES = (
    "There is {degree} {term} {place}.",
    "{Degree} {term} {place}.",
    "Findings consistent with {degree} {term} {place}.",
)
_ABSENT_SENTENCES = ("No {term}.", "There is no evidence of {term}.", "{Term} is not seen.")
_NORMAL_SENTENCES = (
    "The osseous structures are intact.",
    "The trachea is midline.",
    "The visualized upper abdomen is unremarkable.",
)
_DEGREES = ("small", "moderate", "large")


@dataclass(frozen=True, eq=False)
class PlantedFilm:
    """A film and what was planted in it.

    Attributes:
        image: (side, side) uint8.
        labels: every finding to 1 or 0.
        sentences: the report, in order.
        regions: place and sentence of every present finding.
        mask: (side, side) uint8, 1 where any finding lies.
    """

    image: NDArray[np.uint8]
    labels: dict[str, float]
    sentences: tuple[str, ...]
    regions: tuple[Region, ...]
    mask: NDArray[np.uint8]


def planted_film(
    rng: np.random.Generator, side_px: int = 64, present: tuple[str, ...] | None = None
) -> PlantedFilm:
    """Draw one film with its report.

    Args:
        rng: source of everything random.
        side_px: side of the film.
        present: findings to plant; drawn independently where None.
    """
    chosen = [f for f in FINDINGS if (rng.random() < SHARE_PRESENT if present is None else f.name in present)]
    film, mask = _thorax(side_px, rng), np.zeros((side_px, side_px), np.uint8)
    regions: list[Region] = []
    for finding in chosen:
        sentence = _sentence(_PRESENT_SENTENCES, finding, rng)
        inside, box = _place(finding, side_px, rng)
        film[inside] += 0.45
        mask[inside] = 1
        regions.append(Region(finding.name, box, sentence))
    sentences = _report(chosen, [region.sentence for region in regions], rng)
    image = np.rint(255 * film.clip(0, 1)).astype(np.uint8)
    labels = {f.name: PRESENT if f in chosen else ABSENT for f in FINDINGS}
    return PlantedFilm(image, labels, sentences, tuple(regions), mask)


def planted_dataset(
    count: int, *, seed: int = 0, side_px: int = 64, films_per_patient: int = 2, split: Split = ""
) -> PairDataset:
    """A data set in memory; sample i is a function of (seed, i) alone.

    Args:
        count: number of films.
        seed: of everything random.
        side_px: side of the films.
        films_per_patient: consecutive films share a patient.
        split: the side that every film is on.

    Example:
        >>> data = planted_dataset(4, seed=1, side_px=32)
        >>> data[0].image.shape, len(data), data.label_names[0]
        ((32, 32), 4, 'Cardiomegaly')
    """
    pairs = []
    for index in range(count):
        film = planted_film(generator(seed, "planted", index), side_px)
        pairs.append(
            Pair(
                image=film.image,
                report=" ".join(film.sentences),
                sections={"findings": " ".join(film.sentences)},
                sample_id=f"film{index:05d}",
                study_id=f"study{index:05d}",
                patient_id=f"patient{index // films_per_patient:05d}",
                labels=film.labels,
                regions=film.regions,
                mask=film.mask if film.regions else None,
                split=split,
                view="PA",
            )
        )
    return PairDataset("planted", tuple(pairs), FINDING_NAMES)


def _thorax(side_px: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Grey body, two dark lungs, a little noise."""
    y, x = np.mgrid[:side_px, :side_px] / side_px
    film = np.full((side_px, side_px), 0.45)
    for centre in (0.27, 0.73):
        film[((x - centre) / 0.19) ** 2 + ((y - 0.5) / 0.38) ** 2 <= 1] = 0.2
    gain = rng.uniform(0.85, 1.15)
    return film * gain + rng.normal(0, 0.04, film.shape)


def _place(
    finding: Finding, side_px: int, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], tuple[float, float, float, float]]:
    """An ellipse near the finding's place: pixels inside, and its box in fractions."""
    cx, cy = (c + rng.uniform(-0.03, 0.03) for c in finding.centre)
    rx, ry = (r * rng.uniform(0.85, 1.15) for r in finding.radii)
    y, x = (np.mgrid[:side_px, :side_px] + 0.5) / side_px
    inside = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1
    return inside, (cx - rx, cy - ry, cx + rx, cy + ry)


def _report(chosen: list[Finding], present: list[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Present findings, two or more negations and one normal sentence, in random order."""
    absent = [f for f in FINDINGS if f not in chosen]
    count = min(len(absent), int(rng.integers(2, 5)))
    denied = [absent[i] for i in rng.permutation(len(absent))[:count]]
    sentences = [*present, *(_sentence(_ABSENT_SENTENCES, f, rng) for f in denied)]
    sentences.append(_NORMAL_SENTENCES[int(rng.integers(len(_NORMAL_SENTENCES)))])
    return tuple(sentences[i] for i in rng.permutation(len(sentences)))


def _sentence(templates: tuple[str, ...], finding: Finding, rng: np.random.Generator) -> str:
    degree = _DEGREES[int(rng.integers(len(_DEGREES)))]
    return _filled(templates[int(rng.integers(len(templates)))], finding, degree)


def _filled(template: str, finding: Finding, degree: str) -> str:
    words = {"term": finding.term, "place": finding.place, "degree": degree}
    return template.format(**words, Term=finding.term.capitalize(), Degree=degree.capitalize())


def planted_prompts() -> dict[str, Prompts]:
    """Sentences for and against every finding in the wording of the planted reports.

    A tower trained on these few templates knows no others; the usual prompts (`default_prompts`) ask it in words that
    it never saw.

    Example:
        >>> planted_prompts()["Edema"].negative[0]
        'No interstitial edema.'
    """
    prompts = {}
    for finding in FINDINGS:
        stated = (_filled(text, finding, degree) for text in _PRESENT_SENTENCES for degree in _DEGREES)
        denied = (_filled(text, finding, "") for text in _ABSENT_SENTENCES)
        prompts[finding.name] = Prompts(tuple(stated), tuple(denied))
    return prompts
