"""Fine-tune frozen towers on planted films, pretrained ones beside the same towers with random weights.

Usage: python tools/finetune_cmcgns.py [--work DIR]    (resumable, about five minutes; docs/finetune_cmcgns.md)

Towers are pretrained on planted films and reports alone, as `cmcgns pretrain` does it; heads then learn boxes or masks
of other patients. The test films are of patients that neither has seen.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cmcgns.config import Config
from cmcgns.data.pairs import PairDataset
from cmcgns.downstream.config import FinetuneConfig
from cmcgns.downstream.finetune import finetune, load_finetuned
from cmcgns.downstream.scores import paired_difference, predict_side, score_rows
from cmcgns.downstream.task import FinetuneTask
from cmcgns.model import CMCGNS
from cmcgns.synth.planted import planted_dataset
from cmcgns.train import pretrain
from cmcgns.weights import load

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "finetune_cmcgns.md"
SIDE_PX, PAIRS = 64, 768
PRETRAIN_STEPS, STEPS, BATCH, RATE = 240, 200, 8, 2e-3
TRAIN_FILMS, VALIDATION_FILMS, TEST_FILMS = (12, 96), 16, 160
CASES = (
    ("classification", "linear", "tiny-resnet"),  # shows that the pretrained weights are there and mean something
    ("detection", "fcos", "tiny-resnet"),
    ("detection", "yolo", "tiny-resnet"),
    ("segmentation", "unet", "tiny-resnet"),
    ("segmentation", "setr", "tiny-vit"),
)
ARMS = (("pretrained", False), ("random weights", True))


def sides(counts: dict[Any, int], seed: int) -> PairDataset:
    """Planted films on sides, no patient on two."""
    parts = []
    for number, (side, count) in enumerate(counts.items()):
        data = planted_dataset(count, seed=seed + number, side_px=SIDE_PX, split=side)
        parts.append(tuple(replace(p, patient_id=f"{seed} {side} {p.patient_id}") for p in data))
    return replace(data, pairs=sum(parts, ()))


def tower(image: str, work: Path, steps: int = PRETRAIN_STEPS) -> CMCGNS:
    """A model pretrained on planted films and reports, stage I."""
    stage = {"max_steps": steps, "batch_size": 32, "lr": 1e-3, "warmup_steps": 20, "validate_every": steps}
    config = Config.model_validate(
        {
            "model": {
                "image": {"backbone": image, "side_px": SIDE_PX},
                "text": {"backbone": "tiny", "max_tokens": 96},
                "dim": 64,
            },
            "clusters": {"k": 32, "queue": 1024, "start_step": 60},
            "stages": 1,
            "stage1": {**stage, "weight_decay": 0.05, "clip_norm": 1.0, "checkpoint_every": steps},
        }
    )
    folder = work / f"pretrained-{image}"
    if not (folder / "stage1" / "checkpoints" / "last").is_dir():
        data = sides({"train": PAIRS, "validation": 32}, seed=700)
        pretrain(config, folder, dataset=data, device="cpu", quiet=True, resume=folder.is_dir())
    return load(folder, device="cpu")


def case(job: str, head: str, model: CMCGNS, work: Path, films: int, steps: int = STEPS) -> dict[str, Any]:
    """Both arms of a case, scored on the same test films, and their paired difference."""
    config = FinetuneConfig.model_validate(
        {
            "data": {"root": "planted", "side_px": SIDE_PX},
            "job": job,
            "head": {"kind": head, "width": 32, "max_boxes": 20},
            "train": {"max_steps": steps, "batch_size": BATCH, "lr": RATE, "validate_every": steps // 2},
        }
    )
    counts = {"train": films, "validation": VALIDATION_FILMS, "test": TEST_FILMS}
    data, started = sides(counts, seed=800), time.process_time()
    test = data.side("test").pairs
    result: dict[str, Any] = {"job": job, "head": head, "films": films}
    found = []
    for name, random_weights in ARMS:
        run = work / f"{job}-{head}-{films}-{name.replace(' ', '-')}"
        finetune(
            config,
            model,
            run,
            dataset=data,
            random_weights=random_weights,
            device="cpu",
            resume=run.is_dir(),
            quiet=True,
        )
        module, stored, names = load_finetuned(run, device="cpu")
        task = FinetuneTask(module, [], [], stored, names, {})
        found.append(predict_side(module, task, test))
        result[name] = score_rows(found[-1], task, test, resamples=300)
    gap = paired_difference(found[0], found[1], task, test, resamples=300)
    return result | {
        "difference": [gap.estimate, gap.low, gap.high],
        "patients": gap.n_patients,
        "cpu_s": time.process_time() - started,
    }


def row(r: dict[str, Any]) -> str:
    """A line of the table."""
    arms = [r[name] for name, _ in ARMS]
    cells = [f"{a['value']:.3f} [{a['low']:.3f}, {a['high']:.3f}]" for a in arms]
    gap, low, high = r["difference"]
    alarms = "counted in the mAP" if r["job"] == "detection" else "-"
    if "empty" in arms[0]:
        alarms = f"{arms[0]['false_alarms']} / {arms[1]['false_alarms']} of {arms[0]['empty']}"
    image = next(tower for job, head, tower in CASES if (job, head) == (r["job"], r["head"]))
    return (
        f"| {r['job']} | {r['head']} | {image} | {r['films']} | {cells[0]} | {cells[1]} | "
        f"{gap:+.3f} [{low:+.3f}, {high:+.3f}] | {arms[0]['n']} ({r['patients']}) | {alarms} |"
    )


def page(results: list[dict[str, Any]]) -> str:
    """The table and how to read it."""
    lines = [
        "# Fine-tuning on planted films",
        "",
        f"Written by `python tools/finetune_cmcgns.py`. Towers: tiny, pretrained on {PAIRS} planted films with their "
        f"reports ({PRETRAIN_STEPS} steps of 32, stage I, no boxes, no masks), or the same tower with random weights; "
        f"frozen in both. Heads: {STEPS} steps of {BATCH} on {' or '.join(map(str, TRAIN_FILMS))} other films of "
        f"{SIDE_PX} px, equal settings and seed in both arms, the better of two validations on {VALIDATION_FILMS}. "
        f"Test: {TEST_FILMS} films of patients nobody has seen; in brackets a patient bootstrap, 95 %; differences are "
        "paired. **One seed: the intervals are about patients, not about trainings.** Random weights are a control and "
        "NOT COMPARABLE with anything; planted films say nothing about chest films.",
        "",
        "mAP: mean over IoU 0.40 to 0.75 and over findings; every film counts, also those without boxes and those in "
        "which nothing is found. Dice: mean per film with a finding; films without one are left out and counted, with "
        "the false alarms on them (the policy `undefined`).",
        "",
        "| job | head | tower | labelled films | pretrained | random weights | difference | n test films (patients) | "
        "false alarms on films without finding, pretrained / random |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(row, results),
        "",
        "Linear classification (macro AUROC) is there to show that the pretrained tower differs from the random one.",
    ]
    seconds = sum(r["cpu_s"] for r in results)
    return "\n".join([*lines, "", f"Processor time of the fine-tuning runs: {seconds:.0f} s.", ""])


def main() -> None:
    """Run the cases that are missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "finetune_cmcgns")
    work: Path = parser.parse_args().work
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    record = work / "cases.jsonl"
    done = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    for films in TRAIN_FILMS:
        for job, head, image in CASES:
            if any((r["job"], r["head"], r["films"]) == (job, head, films) for r in done):
                continue
            done.append(case(job, head, tower(image, work), work, films))
            with record.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(done[-1]) + "\n")
            print(done[-1], file=sys.stderr, flush=True)
    done.sort(key=lambda r: (r["films"], [c[:2] for c in CASES].index((r["job"], r["head"]))))
    PAGE.write_text(page(done), encoding="utf-8")


if __name__ == "__main__":
    main()
