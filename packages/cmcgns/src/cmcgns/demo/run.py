"""Project, pair, pretrain, evaluate beside two controls, and write a page."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._shared.config import load_config
from .._shared.engine.device import resolve_device
from .._shared.errors import ConfigError
from .._shared.files import atomic_write, require_writable_dir
from .._shared.logs import get_logger
from .._shared.strict_json import to_json
from ..config import Config
from ..data.pairs import PairDataset
from ..encoders import PretrainedEncoder
from ..evaluate import Evaluation, evaluate
from ..synth.projection import load_chests
from ..train import build_model, pretrain
from ..weights import load
from .pairs import permuted_captions, synthetic_pairs
from .report import demo_page
from .sentences import bank_prompts, load_banks

log = get_logger(__name__)
SIDE_PX = 64
TRAIN_FILMS, VALIDATION_FILMS, TEST_FILMS = 900, 60, 200
TEST_CHEST = "totalsegmentator"
_STAGE = {
    "epochs": 1000,
    "batch_size": 32,
    "lr": 1e-3,
    "weight_decay": 0.05,
    "clip_norm": 1.0,
    "schedule": "constant",
    "warmup_steps": 20,
}


@dataclass(frozen=True)
class DemoResult:
    """What the demo measured on films of a patient it was not trained on.

    Attributes:
        trained: the pretrained model.
        permuted: trained for the same time on permuted captions.
        random: the same architecture, never trained.
        steps: of the two trainings.
        page: where the page is.
    """

    trained: Evaluation
    permuted: Evaluation
    random: Evaluation
    steps: dict[str, int]
    page: Path

    @property
    def beats_controls(self) -> bool:
        """Whether AUROC, recall@10 and how much maps follow their sentence are above both controls.

        Recall is the mean of both directions. Pointing is compared less what sentences about other findings score in
        the same boxes: findings are bright, and a random map that follows brightness points at them whatever the
        sentence says.
        """
        ours, controls = _summary(self.trained), [_summary(part) for part in (self.permuted, self.random)]
        names = ("auroc", "recall", "specific")
        return all(ours[name] > control[name] for control in controls for name in names)

    def to_json(self) -> dict[str, Any]:
        """All results."""
        parts = {"trained": self.trained, "permuted_captions": self.permuted, "random_weights": self.random}
        return {
            **{name: part.to_json() for name, part in parts.items()},
            "steps": self.steps,
            "beats_controls": self.beats_controls,
            "page": str(self.page),
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
    """Run the demo.

    Args:
        run_dir: where everything is written.
        max_minutes: training time of each of the two models.
        seed: of films, pairs and weights.
        device: "auto", "cpu", "cuda", ...
        resume: continue an interrupted demo.
        quiet: no progress.

    Raises:
        DataError: an asset is not on this machine.
        ConfigError: `run_dir` holds another demo.
    """
    resolve_device(device)
    require_writable_dir(run_dir)
    _claim(run_dir, {"max_minutes": max_minutes, "seed": seed}, resume)
    data = demo_data(run_dir / "reports", seed, quiet=quiet)
    learn = PairDataset(data.name, tuple(p for p in data if p.split != "test"), data.label_names)
    config = demo_config(max_minutes, seed)
    runs = {"trained": learn, "permuted": _with_permuted(learn, seed)}
    steps: dict[str, int] = {}
    for name, pairs in runs.items():
        log.info("pretraining: %s captions", "true" if name == "trained" else "permuted")
        fitted = pretrain(config, run_dir / name, dataset=pairs, device=device, resume=resume, quiet=quiet)
        steps[name] = fitted.last.step
    test = data.side("test")
    encoders = {name: PretrainedEncoder(load(run_dir / name, device=device), name) for name in runs}
    encoders["random"] = PretrainedEncoder(build_model(config), "random", comparable=False)
    prompts = bank_prompts(load_banks(run_dir / "reports")[0])  # in the words of the training sentences
    found = {
        n: evaluate(e, test, ks=(1, 10), prompts=prompts, with_probe=False, quiet=quiet)
        for n, e in encoders.items()
    }
    page = run_dir / "report.html"
    atomic_write(page, demo_page(found, encoders["trained"], test, steps, max_minutes))
    result = DemoResult(found["trained"], found["permuted"], found["random"], steps, page)
    atomic_write(run_dir / "metrics.json", to_json(result.to_json(), indent=1))
    return result


def demo_data(reports: Path, seed: int, *, quiet: bool = True, shrink: int = 1) -> PairDataset:
    """Training and validation films of three patients, test films of a fourth, test sentences of other reports.

    Args:
        reports: folder for the unpacked reports.
        seed: of everything random.
        quiet: no progress.
        shrink: divide the numbers of films by this.
    """
    train_bank, test_bank = load_banks(reports)
    chests = load_chests()
    seen, unseen = [c for c in chests if c.name != TEST_CHEST], [c for c in chests if c.name == TEST_CHEST]
    common: dict[str, Any] = {"seed": seed, "side_px": round(SIDE_PX * 8 / 7), "quiet": quiet}
    parts = [
        synthetic_pairs(seen, train_bank, TRAIN_FILMS // shrink, split="train", **common),
        synthetic_pairs(seen, train_bank, VALIDATION_FILMS // shrink, split="validation", **common),
        synthetic_pairs(unseen, test_bank, TEST_FILMS // shrink, split="test", **common),
    ]
    return replace(parts[0], pairs=tuple(pair for part in parts for pair in part))


def demo_config(max_minutes: float, seed: int) -> Config:
    """A small model: cells of 4 pixels that see 20 in films of 64, words hashed; stage I with image contrast."""
    stage = {**_STAGE, "max_minutes": max_minutes, "seed": seed, "validate_every": 200, "checkpoint_every": 100}
    flags: dict[str, Any] = {f"stage1.{key}": value for key, value in stage.items()}
    flags |= {
        "model.image.backbone": "tiny-convmixer",
        "model.image.side_px": SIDE_PX,
        "model.dim": 64,
        "stages": 1,
    }
    flags |= {"model.text.backbone": "tiny", "model.text.max_tokens": 96, "validation_pairs": VALIDATION_FILMS}
    flags |= {"loss.image_weight": 0.5}  # so that maps point
    flags |= {"clusters.k": 16, "clusters.queue": 1024, "clusters.start_step": 100}
    return load_config(Config, None, (), flags)


def demo_text(result: DemoResult) -> str:
    """The result for people."""
    lines = [f"{'':18} {'AUROC':>7} {'recall@10':>10} {'pointing':>9} {'by sentence':>12}"]
    named = (
        ("pretrained", result.trained),
        ("permuted captions", result.permuted),
        ("random weights", result.random),
    )
    for name, part in named:
        s = _summary(part)
        lines.append(f"{name:18} {s['auroc']:7.3f} {s['recall']:10.3f} {s['pointing']:9.3f} {s['specific']:12.3f}")
    chance = _summary(result.trained)
    lines.append(
        f"{'chance':18} {0.5:7.3f} {chance['recall_chance']:10.3f} {chance['pointing_chance']:9.3f} {0.0:12.3f}"
    )
    lines.append("by sentence: pointing less what sentences about other findings score in the same boxes")
    lines.append("synthetic pairs, films of one patient who was not trained on: no accuracy claim")
    return "\n".join([*lines, str(result.page)])


def _summary(evaluation: Evaluation) -> dict[str, float]:
    zero, retrieval, grounding = evaluation.zero_shot, evaluation.retrieval, evaluation.grounding
    if zero is None or retrieval is None or grounding is None:
        raise ConfigError("the demo's evaluation lacks a part; remove the run directory and start again")
    ten = [r for r in retrieval.recalls if r.k == 10]  # both directions
    return {
        "auroc": zero.macro[0],
        "recall": sum(r.value for r in ten) / len(ten),
        "recall_chance": sum(r.chance for r in ten) / len(ten),
        "pointing": grounding.pointing.value,
        "specific": grounding.specific.value,
        "pointing_chance": grounding.pointing_chance,
    }


def _with_permuted(learn: PairDataset, seed: int) -> PairDataset:
    train, rest = learn.side("train"), tuple(p for p in learn if p.split != "train")
    return replace(learn, pairs=(*permuted_captions(train, seed).pairs, *rest))


def _claim(run_dir: Path, settings: dict[str, Any], resume: bool) -> None:
    """A demo is continued with its own settings only."""
    path = run_dir / "demo.json"
    if not path.is_file():
        atomic_write(path, json.dumps(settings))
        return
    if not resume:
        raise ConfigError(
            f"{run_dir.name}: holds a demo already; pass --resume to continue it, or another --run-dir"
        )
    old = json.loads(path.read_text())
    if old != settings:
        raise ConfigError(f"{run_dir.name}: was started with {old}, not {settings}; choose another --run-dir")
