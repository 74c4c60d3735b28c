"""Measure the methods that run here on synthetic persons, whose true warps are known: docs/baselines_tryon_bench.md.

Usage: python tools/baselines_tryon_bench.py [--cases 32] [--size 256x192] [--checkpoint RUN] [--work DIR]

Clothing LPIPS and SSIM are those of the protocol tryon-bench-1 (LPIPS with its real weights); the end-point error is
measured in the garment's photo, over the worn garment that is seen. Settings of the methods were chosen on seed 0, the
table is made on seed 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tryon_bench._shared.metrics.statistics import patient_bootstrap
from tryon_bench.data.labels import CATEGORIES
from tryon_bench.data.open import open_dataset
from tryon_bench.data.sample import Sample, clothing_mask
from tryon_bench.engine.images import Form, decode
from tryon_bench.engine.networks import Networks, load_networks
from tryon_bench.engine.plan import Plan, Row
from tryon_bench.engine.score import PairScorer
from tryon_bench.methods.catalogue import WarpMethod, get_method, with_compose
from tryon_bench.methods.compose import Compose
from tryon_bench.methods.conditions import conditions_of
from tryon_bench.methods.interface import Conditions, Image, Method
from tryon_bench.methods.known import read_known_warp
from tryon_bench.metrics import end_point_error
from tryon_bench.protocol.presets import load_protocol
from tryon_bench.protocol.schema import Protocol
from tryon_bench.stats.comparisons import compare_methods
from tryon_bench.synth.write import write_synthetic
from tryon_bench.tps import dense_map
from tryon_bench.warping.method import warp_net_method

PAGE = Path(__file__).resolve().parent.parent / "docs" / "baselines_tryon_bench.md"
METHODS = (
    *("oracle", "oracle_warp", "tps_contour", "tps_keypoints", "flow", "affine", "copy_paste", "diffuse_inpaint"),
    "mean_fill",
)
CHAINS = (
    ("oracle_warp", "tps_contour", "copy_paste", "mean_fill"),
    ("oracle_warp", "tps_keypoints", "copy_paste", "mean_fill"),
)
COMPOSED = ("tps_contour", "oracle_warp")
MODES: tuple[Compose, ...] = ("paste", "feather", "pyramid", "poisson", "poisson_mixed")
LPIPS, SSIM, EPE, EDGE = "lpips_alex", "ssim_rgb_gaussian_valid", "end_point_error", "boundary"
COLUMNS = ((LPIPS, "clothing LPIPS", 4), (EPE, "end-point error, px", 2), (SSIM, "clothing SSIM", 4))
COMPOSED_COLUMNS = ((LPIPS, "clothing LPIPS", 4), (SSIM, "clothing SSIM", 4), (EDGE, "boundary", 2))

LEARNED = (
    "",
    "`warp_net` was trained on other persons (seed 7), a minute of one CPU core:",
    "",
    "```",
    "tryon-bench synth vitonhd TRAIN --cases 256 --size 128x96 --seed 7",
    "tryon-bench train-warp TRAIN --recipe tiny --run-dir RUN --device cpu",
    "python tools/baselines_tryon_bench.py --checkpoint RUN",
    "```",
    "",
    "It saw persons and garments of the same generator, so it knows how they are drawn; the others know nothing of it.",
)

Scores = dict[str, dict[str, dict[str, float]]]  # metric -> method -> pair -> value


def measure(root: Path, methods: Sequence[tuple[str, Method]]) -> Scores:
    """Scores of every method on the paired rows of a synthetic data set.

    Args:
        root: of `tryon-bench synth`.
        methods: name in tables, and the method.
    """
    protocol = load_protocol("tryon-bench-1").model_copy(
        update={"regions": ("clothing",), "garment_similarity": False, "fd_effnet_lite0": False}
    )
    scores: Scores = {metric: {name: {} for name, _ in methods} for metric in (LPIPS, SSIM, EPE, EDGE)}
    samples = open_dataset(root).samples
    networks = load_networks(_plan(samples, methods, protocol))
    for sample in samples:
        person, garment = decode(sample.person), decode(sample.garment)
        conditions = conditions_of(sample, person, garment, 0)
        results = {name: method(person, garment, conditions) for name, method in methods}
        for row in _scored(sample, person, results, protocol, networks):
            if row.metric in scores:
                scores[row.metric][row.method][sample.pair_id] = row.value
        for name, method in methods:
            scores[EPE][name][sample.pair_id] = warp_error(method, person, garment, conditions)
    return scores


def warp_error(method: Method, person: Image, garment: Image, conditions: Conditions) -> float:
    """End-point error of a method's backward map over the worn garment, px of the garment's photo.

    `oracle` returns the photo, which is the true warp: 0. `mean_fill` shows one colour of the garment everywhere, its
    mean; the map that comes nearest is the constant one to the middle of the garment, and that is what is measured.
    Methods that look at no garment have none: NaN.
    """
    size = (person.shape[0], person.shape[1])
    assert conditions.known_warp is not None  # noqa: S101  # the data are synthetic
    truth = dense_map(read_known_warp(conditions.known_warp), size)
    if isinstance(method, WarpMethod):
        where = method.warp(person, garment, conditions)
    elif method.id == "mean_fill":
        rows, columns = np.nonzero(conditions.garment_mask)
        middle = [(columns.mean() + 0.5) / garment.shape[1], (rows.mean() + 0.5) / garment.shape[0]]
        where = np.broadcast_to(middle, (*size, 2))
    else:
        where = truth if method.id == "oracle" else np.full((*size, 2), np.nan)
    return end_point_error(where, truth, conditions.target, (garment.shape[0], garment.shape[1]))


def in_order(values: dict[str, dict[str, float]], chain: Sequence[str]) -> list[str]:
    """Every step of a chain in which each method should have the lower score, and "not lower" where it has not."""
    lines = []
    for first, second in pairwise(chain):
        (row,) = compare_methods({name: values[name] for name in (first, second)}, higher_is_better=False)
        verdict = "below" if row.high < 0 else "not lower than"
        lines.append(
            f"{first} {verdict} {second}: {row.difference:+.4f} ({row.low:+.4f} to {row.high:+.4f}), "
            f"p {row.p_value:.4f}, n {row.n}"
        )
    return lines


def _plan(samples: Sequence[Sample], methods: Sequence[tuple[str, Method]], protocol: Protocol) -> Plan:
    rows = tuple(Row(s.pair_id, s.person, s.garment, {}, partial(clothing_mask, s)) for s in samples)
    return Plan("paired", rows, tuple(name for name, _ in methods), (protocol,))


def _scored(
    sample: Sample, person: Image, results: dict[str, Image], protocol: Protocol, networks: Networks
) -> list:
    images: dict[str, NDArray[np.uint8]] = {"": person, **results}
    scorer = PairScorer(sample.pair_id, Form.of(protocol), images, clothing_mask(sample), networks)
    return list(scorer.scores(protocol, tuple(results), "paired"))


def _cell(values: dict[str, float], digits: int) -> str:
    found = patient_bootstrap(list(values.values()), list(values))
    if np.isnan(found.estimate):
        return "none"
    return f"{found.estimate:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def _table(scores: Scores, names: Sequence[str], columns: Sequence[tuple[str, str, int]]) -> list[str]:
    head = [
        "| method | " + " | ".join(label for _, label, _ in columns) + " | n |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for name in names:
        cells = [_cell(scores[metric][name], digits) for metric, _, digits in columns]
        head.append(f"| {name} | " + " | ".join(cells) + f" | {len(scores[LPIPS][name])} |")
    return head


def of_category(scores: Scores, category: str) -> Scores:
    """The rows of one category; DressCode's pair ids begin with it."""
    return {
        metric: {
            name: {pair: value for pair, value in values.items() if pair.startswith(f"{category}-")}
            for name, values in methods.items()
        }
        for metric, methods in scores.items()
    }


def _categories(scores: Scores) -> list[str]:
    """What becomes of the order with other garments than shirts."""
    count = len(scores[LPIPS]["copy_paste"])
    lines = [
        "",
        "## Other garments",
        "",
        f"The persons above wear shirts. Splines against scaling over {count} persons in DressCode's form (seed 1), a "
        "third of them in each category; `not lower than` marks what the interval does not support.",
        "",
    ]
    for metric, label, _ in COLUMNS[:2]:
        for title, part in [("all", scores), *((name, of_category(scores, name)) for name in CATEGORIES)]:
            steps = dict.fromkeys(step for chain in CHAINS for step in in_order(part[metric], chain[1:3]))
            lines += [f"- {title}, {label}: {step}" for step in steps]
    return lines


def page(
    scores: Scores, composed: Scores, other: Scores, arguments: argparse.Namespace, learned: Sequence[str]
) -> str:
    """The document."""
    names = list(scores[LPIPS])
    order = sorted(names, key=lambda name: np.mean(list(scores[LPIPS][name].values())))
    lines = [
        "# Methods that run here, on persons whose warps are known",
        "",
        f"`python tools/baselines_tryon_bench.py`: {arguments.cases} synthetic persons (seed 1; the methods' settings "
        f"were chosen on seed 0) in shirts, {arguments.size}, paired setting. Means over persons with 95 % bootstrap "
        "intervals. LPIPS (alex, real weights) and SSIM of the clothing as in the protocol `tryon-bench-1`; "
        "end-point error is the distance, in the garment's photo, between where a method and the spline that dressed "
        "the person fetch a pixel, over the worn garment that is seen. `mean_fill` has no warp: the constant map to "
        "the garment's middle stands for it. `diffuse_inpaint` never looks at the garment. In the paired setting the "
        "target's outline is that of the answer, and arms, head and trousers are put back from it, as in most "
        "parser-based methods. These are drawn figures, so the numbers order the methods and their parts; they say "
        "nothing about photographs.",
        *(LEARNED if learned else ()),
        "",
        *_table(scores, order, COLUMNS),
        "",
        "What every step of the expected order is worth (difference of means, 95 % interval, paired permutation test):",
        "",
    ]
    chains = [*CHAINS, *(("oracle_warp", name, "tps_contour") for name in learned)]
    for metric, label, _ in COLUMNS[:2]:
        steps = dict.fromkeys(step for chain in chains for step in in_order(scores[metric], chain))
        lines += [f"- {label}: {step}" for step in steps]
    lines += [
        "",
        "## Ways of laying the garment over the person",
        "",
        "The same warps, `tryon-bench run METHOD DATA --compose MODE`. `boundary` is the error of the gradient's "
        "magnitude around the garment's border, gray levels. Poisson blending takes the light of what is around the "
        "garment, here a coloured background, and so changes the garment's colours: it is made for pieces whose "
        "surroundings agree, such as a generated area put back into its photo.",
        "",
        *_table(composed, list(composed[LPIPS]), COMPOSED_COLUMNS),
        *_categories(other),
        "",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Make the persons, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=32)
    parser.add_argument("--size", default="256x192")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=PAGE)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        root = (chosen.work or Path(folder)) / f"persons-{chosen.cases}-{chosen.size}"
        height, width = map(int, chosen.size.split("x"))
        if not root.exists():
            write_synthetic("vitonhd", root, cases=chosen.cases, size=(height, width), seed=1)
        methods = [(name, get_method(name)) for name in METHODS]
        learned = [] if chosen.checkpoint is None else [("warp_net", warp_net_method(chosen.checkpoint))]
        methods += learned
        scores = measure(root, methods)
        composed = measure(
            root,
            [
                (f"{name}, {mode}", with_compose(method, mode))
                for name, method in methods
                if name in COMPOSED
                for mode in MODES
            ],
        )
        dressed = root.with_name(f"{root.name}-dresscode")
        if not dressed.exists():
            write_synthetic("dresscode", dressed, cases=chosen.cases + 1, size=(height, width), seed=1)
        names = sorted({name for chain in CHAINS for name in chain[1:3]})
        other = measure(dressed, [(name, get_method(name)) for name in names])
    text = page(scores, composed, other, chosen, [name for name, _ in learned])
    chosen.out.write_text(text, encoding="utf-8")
    print(chosen.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(sys.argv[1:])
