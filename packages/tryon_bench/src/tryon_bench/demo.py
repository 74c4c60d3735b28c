"""The demonstration: synthetic persons, four simple methods, two protocols, and how they disagree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats

from ._shared.files import require_writable_dir
from .data.open import open_dataset
from .data.predictions import resolve_predictions
from .engine.evaluation import Evaluation
from .engine.results import Result
from .evaluate import evaluate, make_plan
from .methods.catalogue import get_method
from .methods.run import run_method
from .protocol.presets import load_protocol
from .report.labels import column_label, with_interval
from .report.page import write_report
from .synth.write import write_synthetic

METHODS = ("identity", "mean_fill", "copy_paste", "tps_contour")
PROTOCOLS = ("tryon-bench-1", "hr-viton")
CASES, SIZE = 24, (256, 192)
NOTE = (
    "Synthetic persons in drawn garments, paired setting. identity returns the photo, which is also the target: its "
    "perfect score says why paired scores alone prove nothing. The others repaint the clothing area."
)


@dataclass(frozen=True)
class Demo:
    """What the demonstration leaves.

    Attributes:
        evaluation: all numbers.
        report: the page.
        agreement: Kendall's tau of the methods' order by SSIM under the two protocols, and by clothing LPIPS against
            whole-image LPIPS.
    """

    evaluation: Evaluation
    report: Path
    agreement: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Report, agreement and numbers."""
        return {
            "report": str(self.report),
            "kendall_tau": self.agreement,
            "evaluation": self.evaluation.to_json(),
        }


def run_demo(run_dir: Path, *, seed: int = 0, resume: bool = False, quiet: bool = False) -> Demo:
    """Make the data, run the methods, evaluate, write the report; what is there already is kept.

    Args:
        run_dir: where everything goes.
        seed: of the data.
        resume: continue an interrupted demonstration.
        quiet: no progress.

    Raises:
        ConfigError: the folder holds a demonstration and `resume` is not set.
        DataError: the assets with LPIPS and EfficientNet weights are not on this machine.
    """
    require_writable_dir(run_dir)
    data = run_dir / f"data-{seed}"
    if not data.exists():
        write_synthetic("vitonhd", data, cases=CASES, size=SIZE, seed=seed)
    dataset = open_dataset(data, setting="paired")
    for name in METHODS:
        run_method(
            get_method(name), dataset, run_dir / f"results-{seed}" / name, seed=seed, resume=True, quiet=quiet
        )
    predictions = {name: resolve_predictions(dataset, run_dir / f"results-{seed}" / name) for name in METHODS}
    plan = make_plan(dataset, predictions, [load_protocol(name) for name in PROTOCOLS])
    label = f"synthetic VITON-HD, {dataset.pairs}#{dataset.list_hash}"
    evaluation = evaluate(plan, run_dir / f"evaluation-{seed}", data=label, resume=resume, quiet=quiet)
    if evaluation is None:
        raise RuntimeError("an evaluation in one part has no result")  # pragma: no cover
    report = write_report(evaluation, run_dir / "report.html", note=NOTE)
    return Demo(evaluation, report, _agreement(evaluation))


def _agreement(evaluation: Evaluation) -> dict[str, float]:
    def order(protocol: str, metric: str, region: str) -> list[float]:
        found = {r.method: r.value for r in _chosen(evaluation, protocol, metric, region)}
        return [found[name] for name in METHODS]

    pairs = {
        "SSIM, masked clothing (tryon-bench-1) and whole gray image (hr-viton)": (
            order("tryon-bench-1", "ssim_rgb_gaussian_valid", "clothing"),
            order("hr-viton", "ssim_gray_gaussian", "all"),
        ),
        "LPIPS, clothing (tryon-bench-1) and whole image at 128 px (hr-viton)": (
            order("tryon-bench-1", "lpips_alex", "clothing"),
            order("hr-viton", "lpips_alex_128", "all"),
        ),
    }
    return {name: float(stats.kendalltau(*columns).statistic) for name, columns in pairs.items()}


def _chosen(evaluation: Evaluation, protocol: str, metric: str, region: str) -> list[Result]:
    return [
        r
        for r in evaluation.results
        if (r.protocol.partition("#")[0], r.metric, r.region) == (protocol, metric, region)
    ]


def demo_text(demo: Demo) -> str:
    """The columns on which the protocols can be compared, the agreement, and where the report is."""
    columns = [
        ("tryon-bench-1", "ssim_rgb_gaussian_valid", "clothing"),
        ("hr-viton", "ssim_gray_gaussian", "all"),
        ("tryon-bench-1", "lpips_alex", "clothing"),
        ("hr-viton", "lpips_alex_128", "all"),
    ]
    lines = []
    for column in columns:
        results = _chosen(demo.evaluation, *column)
        lines.append(f"{column_label(results[0])}, {results[0].protocol}, n = {results[0].n}")
        lines += [f"  {result.method:12} {with_interval(result)}" for result in results]
    lines += [f"Kendall's tau of the order by {name}: {tau:.2f}" for name, tau in demo.agreement.items()]
    return "\n".join([*lines, NOTE, str(demo.report)])
