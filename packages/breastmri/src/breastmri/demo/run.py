"""What `breastmri demo` does: phantoms, two losses, every localiser, one real breast, one page."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._shared.errors import ConfigError
from .._shared.files import atomic_write, require_writable_dir
from .._shared.logs import get_logger
from .._shared.metrics.delong import DelongTest
from .._shared.strict_json import to_json
from ..phantom import PhantomConfig, make_phantom
from ..predict.examination import open_examination
from ..predict.run import predict_examination
from ..synth.dicom_layouts import write_dicom_study
from .methods import RECIPES, TEST, TRAIN, Method, compare, demo_breasts, demo_config, train_method
from .real import RealBreast, look_at_real_breast, real_breast_png
from .report import CAVEAT, demo_report, localiser_table, method_table

log = get_logger(__name__)


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the demo found; `above_chance` decides its exit code."""

    methods: tuple[Method, ...]
    comparison: DelongTest
    real: RealBreast
    folder: Path

    @property
    def above_chance(self) -> bool:
        """Whether the interval of every network's AUC lies above one half."""
        return all(method.auc.low > 0.5 for method in self.methods)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "note": CAVEAT,
            "methods": {
                m.name: {
                    "steps": m.steps,
                    "auc": m.auc._asdict(),
                    "median_error_mm": {name: value._asdict() for name, value in m.errors.items()},
                }
                for m in self.methods
            },
            "auc_difference": self.comparison._asdict(),
            "real_breast": {"coam_mm": self.real.distance_mm, "enhancement_mm": self.real.baseline_mm},
            "above_chance": self.above_chance,
            "report": str(self.folder / "report.html"),
            "prediction": str(self.folder / "prediction"),
        }


def run_demo(
    run_dir: Path,
    *,
    max_minutes: float = 3.0,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
) -> DemoResult:
    """Run or finish the demo in `run_dir`.

    Args:
        run_dir: where everything is written.
        max_minutes: the budget: 100 steps of each network per minute, about what two free cores take in all.
        seed: of phantoms and networks.
        device: where to train.
        resume: continue what an interrupted demo left.
        quiet: no progress.

    Raises:
        ConfigError: `run_dir` holds another demo.
        DataError: the real breast is not in the cache.
        ResourceError: no such device, or `run_dir` cannot be written.
    """
    require_writable_dir(run_dir)
    if any(run_dir.iterdir()) and not resume:
        raise ConfigError(f"{run_dir.name}: not empty; finish its demo with --resume, or choose another --run-dir")
    configs = {name: demo_config(name, max_minutes=max_minutes, seed=seed) for name in RECIPES}
    plan = configs["CMSL"].data.preprocessing
    log.info("making %d phantoms", TRAIN + TEST)
    train, test = demo_breasts(TRAIN, 2 * seed, plan), demo_breasts(TEST, 2 * seed + 1, plan)
    methods = tuple(
        train_method(name, config, train, test, run_dir / name, device=device, resume=resume, quiet=quiet)
        for name, config in configs.items()
    )
    cmsl = methods[-1]
    real = look_at_real_breast(cmsl.classifier)
    result = DemoResult(methods, compare(cmsl, methods[0], test), real, run_dir)
    _predict_dicom(cmsl, run_dir, seed)
    picture = real_breast_png(real)
    atomic_write(run_dir / "real_breast.png", picture)
    mip = (run_dir / "prediction" / "mip_axial.png").read_bytes()
    atomic_write(run_dir / "report.html", demo_report(methods, result.comparison, real, picture, mip))
    atomic_write(run_dir / "demo.json", to_json(result.to_json(), indent=1) + "\n")
    return result


def _predict_dicom(method: Method, run_dir: Path, seed: int) -> None:
    """A phantom as a scanner would send it, predicted as a user would."""
    folder, out = run_dir / "dicom", run_dir / "prediction"
    for old in (folder, out):
        if old.exists():
            shutil.rmtree(old)
    config = PhantomConfig(size=(128, 80, 24), spacing_mm=(2, 2, 3))
    study = make_phantom(0, seed=2 * seed + 2, config=config, kind="malignant").study
    write_dicom_study(folder, study)
    predict_examination(method.classifier, open_examination(folder), out, label="phantom")


def demo_text(result: DemoResult) -> str:
    """The demo's result for a terminal."""
    lines = [CAVEAT, ""]
    for header, rows in (method_table(result.methods), localiser_table(result.methods)):
        table = [header, *rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(header))]
        lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        lines.append("")
    test = result.comparison
    lines += [
        f"AUC CMSL - BCE: {test.difference:+.3f} ({test.low:+.3f} to {test.high:+.3f}), "
        f"paired DeLong p {test.p_value:.2g}",
        f"real breast, enhancement painted on: COAM's centre {result.real.distance_mm:.1f} mm from the mask's, "
        f"strongest enhancement {result.real.baseline_mm:.1f} mm (n = 1, no claim)",
        str(result.folder / "report.html"),
    ]
    return "\n".join(lines)
