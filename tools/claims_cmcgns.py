"""Compare the losses of cmcgns on planted pairs over seeds and write docs/claims_cmcgns.md.

Usage: python tools/claims_cmcgns.py [--work DIR] [--report [--commit HASH]]    (resumable, record in DIR/runs.jsonl)

Recipe, arms, learning rates and seeds are here; what was expected before the run is in docs/claims_cmcgns_plan.md.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from cmcgns._shared.environment import describe_environment
from cmcgns._shared.metrics.statistics import holm, paired_permutation_test
from cmcgns.config import Config
from cmcgns.data.pairs import PairDataset
from cmcgns.encoders import PretrainedEncoder
from cmcgns.features import embed_films, embed_texts
from cmcgns.grounding import ground
from cmcgns.metrics.retrieval import best_ranks, chance_recall, recall_at_k, text_groups
from cmcgns.synth.planted import planted_dataset, planted_prompts
from cmcgns.train import pretrain
from cmcgns.weights import load
from cmcgns.zeroshot import zero_shot

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "claims_cmcgns.md"
SIDE_PX, TRAIN, HELD_OUT, TEST = 48, 1024, 64, 256
STEPS, BATCH = 160, 32
RATES = (1e-3, 2e-3)  # tried for every arm on the tuning seed; the better macro AUROC is taken
TUNING_SEED, SEEDS = 100, (0, 1, 2, 3, 4)
METRICS = ("macro_auroc", "recall_at_10", "pointing")

# What differs from the reference arm: CM-CGNS with the package's default losses, stage I only.
ARMS: dict[str, dict[str, Any]] = {
    "cmcgns": {},
    "without clusters": {"loss": {"cluster_guided": False}},
    "without hard negatives": {"loss": {"hard_negatives": "none"}},
    "hard negatives: real sentences": {"loss": {"hard_negatives": "sentence"}},
    "false negatives: keep": {"loss": {"false_negatives": "keep"}},
    "false negatives: downweight": {"loss": {"false_negatives": "downweight"}},
    "false negatives: bml": {"loss": {"false_negatives": "bml", "bml_weight": 1.0}},
    "false negatives: soft-positive": {"loss": {"false_negatives": "soft-positive"}},
    "official report loss": {"loss": {"variant": "official", "false_negatives": "bml", "bml_weight": 1e-4}},
    "without patch loss": {"loss": {"patch_weight": 0.0}},
    "without sentence loss": {"loss": {"report_weight": 0.0}},
    "with CM-MIR": {"stages": 2},
    "ConVIRT": {"loss": {"method": "convirt"}},
    "GLoRIA-style": {"loss": {"method": "gloria"}},
    "MGCA": {"loss": {"method": "mgca"}},
}
REFERENCE = "cmcgns"


def settings(arm: str, rate: float, seed: int) -> Config:
    """The run's settings; the arm with CM-MIR has its stage II inside the same number of steps."""
    changed = ARMS[arm]
    second = STEPS // 4 if changed.get("stages") == 2 else 0
    stage = {
        "batch_size": BATCH,
        "lr": rate,
        "weight_decay": 0.05,
        "warmup_steps": 20,
        "clip_norm": 1.0,
        "validate_every": STEPS,
        "checkpoint_every": STEPS,
        "seed": seed,
        "monitor": "recall_at_10",
    }
    values: dict[str, Any] = {
        "model": {
            "image": {"backbone": "tiny-resnet", "side_px": SIDE_PX},
            "text": {"backbone": "tiny", "max_tokens": 96},
            "dim": 64,
        },
        "clusters": {"k": 32, "queue": 1024, "start_step": 40},
        "stages": 1,
        "stage1": {**stage, "max_steps": STEPS - second},
        "stage2": {**stage, "max_steps": max(second, 1)},
    }
    return Config.model_validate(values | changed)


def pairs_of(seed: int) -> tuple[PairDataset, PairDataset]:
    """Training and held-out pairs, and the test pairs, of one seed; no patient on two sides."""
    sides = []
    for number, (side, count) in enumerate((("train", TRAIN), ("validation", HELD_OUT), ("test", TEST))):
        data = planted_dataset(count, seed=10 * seed + number, side_px=SIDE_PX, split=side)  # type: ignore[arg-type]
        named = tuple(replace(pair, patient_id=f"{side} {pair.patient_id}") for pair in data)
        sides.append(replace(data, pairs=named))
    return replace(sides[0], pairs=sides[0].pairs + sides[1].pairs), sides[2]


def scores(run_dir: Path, test: PairDataset) -> dict[str, float]:
    """Zero-shot, retrieval and grounding of the last weights on the test pairs."""
    encoder = PretrainedEncoder(load(run_dir, device="cpu"))
    films, reports = embed_films(encoder, test.pairs), embed_texts(encoder, [pair.report for pair in test])
    groups = text_groups([pair.report for pair in test])
    ranks = np.concatenate([best_ranks(a, b, groups, groups) for a, b in ((films, reports), (reports, films))])
    shown = zero_shot(encoder, test, prompts=planted_prompts(), films=films)
    pointed = ground(encoder, replace(test, pairs=test.pairs[:96]))
    return {
        "macro_auroc": shown.macro[0],
        "polarity": float(np.nanmean([finding.polarity for finding in shown.findings])),
        "recall_at_10": recall_at_k(ranks, 10),
        "recall_chance": chance_recall(groups, groups, 10),
        "pointing": pointed.pointing.value,
        "pointing_chance": pointed.pointing_chance,
    }


def one_run(arm: str, rate: float, seed: int, work: Path) -> dict[str, Any]:
    """Train and score; deletes its files, the numbers stay."""
    data, test = pairs_of(seed)
    folder = work / "current"
    shutil.rmtree(folder, ignore_errors=True)
    started = time.process_time()
    pretrain(settings(arm, rate, seed), folder, dataset=data, device="cpu", quiet=True)
    seconds = time.process_time() - started
    return {"arm": arm, "lr": rate, "seed": seed, "cpu_s": round(seconds, 1), **scores(folder, test)}


def wanted(done: list[dict[str, Any]]) -> Iterator[tuple[str, float, int]]:
    """Runs in their order: the learning rates of every arm, then seed after seed of all arms."""
    for arm in ARMS:
        for rate in RATES:
            yield arm, rate, TUNING_SEED
    for seed in SEEDS:
        for arm in ARMS:
            yield arm, best_rate(done, arm), seed


def best_rate(done: list[dict[str, Any]], arm: str) -> float:
    """The learning rate with the better macro AUROC on the tuning seed."""
    tried = [run for run in done if run["arm"] == arm and run["seed"] == TUNING_SEED]
    return float(max(tried, key=lambda run: run["macro_auroc"])["lr"])


def run_all(work: Path) -> list[dict[str, Any]]:
    """Finish what is missing."""
    work.mkdir(parents=True, exist_ok=True)
    record = work / "runs.jsonl"
    done, commit = read(record), current_commit()
    for arm, rate, seed in wanted(done):
        if not any((r["arm"], r["lr"], r["seed"]) == (arm, rate, seed) for r in done):
            result = {**one_run(arm, rate, seed, work), "commit": commit}
            done.append(result)
            with record.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(result) + "\n")
            print(result, file=sys.stderr, flush=True)
    return done


def current_commit() -> str:
    """The commit of the code that was just loaded."""
    git = describe_environment()["git"]
    return "unknown" if git is None else git["commit"][:7] + (" with changes" if git["dirty"] else "")


def commits_of(done: list[dict[str, Any]], noted: str | None) -> str:
    """The commits of the runs; `noted` by hand for those that did not record theirs."""
    by_hand = f"{noted} (head when the runs began, noted by hand)" if noted else "not recorded"
    return ", ".join(sorted({run.get("commit", by_hand) for run in done}))


def read(record: Path) -> list[dict[str, Any]]:
    """Finished runs."""
    return (
        [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()] if record.exists() else []
    )


def page(done: list[dict[str, Any]], noted: str | None = None) -> str:
    """The table: mean over seeds with Student's interval, paired difference to the reference, exact test, Holm."""
    final = [run for run in done if run["seed"] in SEEDS]
    by_arm = {arm: {run["seed"]: run for run in final if run["arm"] == arm} for arm in ARMS}
    seeds = [seed for seed in SEEDS if all(seed in runs for runs in by_arm.values())]
    lines = [
        "# Losses of cmcgns on planted pairs",
        "",
        "Written by `python tools/claims_cmcgns.py`, which is the recipe; the expectations before the run are in "
        f"[claims_cmcgns_plan.md](claims_cmcgns_plan.md). {TRAIN} planted training pairs of {SIDE_PX} px, {STEPS} "
        f"steps of {BATCH} pairs, the same towers, learning rate chosen for every arm from "
        f"{', '.join(f'{r:g}' for r in RATES)} on a seed of its own; {TEST} test pairs. Seeds of which all arms are "
        f"finished: {len(seeds)} of {len(SEEDS)}. Commit of the runs: {commits_of(done, noted)}.",
        "",
        "**This is a toy with a known answer, run for seconds from random weights: it compares losses under this "
        "budget and says nothing about chest films.**",
        "",
    ]
    if not seeds:
        return "\n".join([*lines, "No seed is finished for all arms yet.", ""])
    chance = {
        m: np.mean([run[f"{c}_chance"] for run in final])
        for m, c in (("recall_at_10", "recall"), ("pointing", "pointing"))
    }
    for metric in METRICS:
        level = f" (chance {chance[metric]:.3f})" if metric in chance else " (chance 0.5)"
        lines += [
            f"## {metric}{level}",
            "",
            "| arm | lr | mean [95 % interval] | difference to cmcgns [95 %] | p | p (Holm) |",
            "|---|---|---|---|---|---|",
        ]
        lines += [*_rows(metric, by_arm, seeds, done), ""]
    seconds = [run["cpu_s"] for run in done]
    lines.append(
        f"n = {len(seeds)} seeds per row; intervals are Student's over seeds; p from the exact paired permutation test "
        f"(smallest possible {2 / 2 ** len(seeds):.3g}), adjusted over the {len(ARMS) - 1} comparisons of a table. "
        f"CPU time of a training run: median {np.median(seconds):.0f} s, largest {max(seconds):.0f} s."
    )
    return "\n".join([*lines, ""])


def _rows(
    metric: str, by_arm: dict[str, dict[int, Any]], seeds: list[int], done: list[dict[str, Any]]
) -> list[str]:
    reference = np.array([by_arm[REFERENCE][seed][metric] for seed in seeds])
    values = {arm: np.array([runs[seed][metric] for seed in seeds]) for arm, runs in by_arm.items()}
    p = {arm: paired_permutation_test(v, reference).p_value for arm, v in values.items() if arm != REFERENCE}
    adjusted = dict(zip(p, holm(list(p.values())), strict=True))
    rows = []
    for arm, found in values.items():
        test = (
            "reference | | "
            if arm == REFERENCE
            else f"{_interval(found - reference)} | {p[arm]:.3f} | {adjusted[arm]:.3f}"
        )
        rows.append(f"| {arm} | {best_rate(done, arm):g} | {_interval(found)} | {test} |")
    return rows


def _interval(values: np.ndarray) -> str:
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return f"{mean:.3f} [undefined, n = {n}]"
    half = float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n))
    return f"{mean:.3f} [{mean - half:.3f}, {mean + half:.3f}]"


def main() -> None:
    """Run what is missing, or only write the page of what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "claims_cmcgns")
    parser.add_argument("--report", action="store_true", help="write the page of the runs that are finished")
    parser.add_argument("--commit", help="of runs whose lines do not name theirs; runs name it from now on")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    done = read(arguments.work / "runs.jsonl") if arguments.report else run_all(arguments.work)
    PAGE.write_text(page(done, arguments.commit), encoding="utf-8")


if __name__ == "__main__":
    main()
