"""The page of the MSLAU-Net bench: bars, tables and the plot, from what was measured."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch

mpl.use("Agg")

SIDES = (224, 256, 384, 512, 1024)

# name, (case, method, case of the reference), must, goal
BARS = (
    ("eager float32", "forward-1t-224px-b1", "ours", 0.90, 0.80),
    ("folded float32", "forward-1t-224px-b1", "folded", 0.83, 0.70),
    ("ONNX Runtime float32", "forward-1t-224px-b1", "ONNX Runtime", 0.45, 0.35),
    ("folded bfloat16", "forward-1t-224px-b1", "bf16 folded", 0.40, 0.30),
    ("training step, bfloat16 autocast", "train-1t-224px-b4", "ours bf16", 0.35, 0.25),
    ("the same, preset corrected", "train-1t-224px-b4", "ours corrected bf16", 0.35, 0.25),
)


def write_page(
    done: Mapping[str, Any], docs: Path, official: str, ours: Sequence[str], peers: Sequence[str]
) -> None:
    """Write bench_mslaunet.md and .png into `docs`."""
    lines = [
        "# Speed and memory of MSLAU-Net",
        "",
        f"Made by `make bench PKG=mslaunet`. torch {torch.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}. Random weights, 9 classes, 3",
        "channels, 3 interleaved rounds in one process, least time. One thread: processor time of the process; two",
        "threads: wall time. The official order is `tools/official_order.py`, written from the specification; `ours`,",
        "`folded`, `bf16 folded` and `ONNX Runtime` are the preset `official` (the same numbers out of the same",
        "weights), `corrected` is the preset for new training. Cases that are missing have not been measured yet: the",
        "command goes on with them. On a busy machine both order and ratios move by some per cent.",
        "",
        "## Bars: ratio to the official order, one thread",
        "",
        *_bars(done, official, ours),
        "",
        *_profiles(done),
        "## Forward pass, ms",
        "",
        *_forward(done, (official, *ours, *peers)),
        "",
        "![cost against pixels](bench_mslaunet.png)",
        "",
        "## Training step, batch 4 at 224 px, ms",
        "",
        *_training(done),
        "",
        "## Peak memory, one forward pass at 512 px",
        "",
        *_memory(done),
        "",
    ]
    (docs / "bench_mslaunet.md").write_text("\n".join(lines), encoding="utf-8")
    _plot(done, docs / "bench_mslaunet.png", (official, *ours, *peers))


def _bars(done: Mapping[str, Any], official: str, ours: Sequence[str]) -> list[str]:
    rows = ["| what | measured | must | goal | |", "|---|---|---|---|---|"]
    for name, key, method, must, goal in BARS:
        if key in done:
            ratio = done[key][method] / done[key][official]
            rows.append(f"| {name} | {ratio:.3f} | {must:.2f} | {goal:.2f} | {_verdict(ratio, must, goal)} |")
    for key in ("forward-1t-224px-b1", "forward-1t-224px-b8"):
        if key in done:
            slowest = max(done[key][method] / done[key][official] for method in ours)
            batch = key.rpartition("b")[2]
            verdict = _verdict(slowest, 1, 1)
            rows.append(f"| slowest of our variants, batch {batch} | {slowest:.3f} | 1.00 | 1.00 | {verdict} |")
    small, large = done.get("forward-1t-224px-b1"), done.get("forward-1t-1024px-b1")
    if small and large:
        for method in ours:
            ratio = large[method] / 1024**2 / (small[method] / 224**2)
            verdict = _verdict(ratio, 1.25, 1.1)
            rows.append(f"| per pixel, 1024 over 224 px: {method} | {ratio:.3f} | 1.25 | 1.10 | {verdict} |")
    if "volume" in done:
        volume = done["volume"]
        rows.append(
            f"| 512 x 512 x {volume['slices']} volume, {volume['classes']} classes: peak memory | "
            f"{volume['peak_gb']:.2f} GB | 4 GB | 4 GB | {_verdict(volume['peak_gb'], 4, 4)} |"
        )
    return rows


def _profiles(done: Mapping[str, Any]) -> list[str]:
    prefix = "profile-"
    found = {key.removeprefix(prefix): value for key, value in done.items() if key.startswith(prefix)}
    if not found:
        return []
    rows = [
        "Where the time goes of what is short of a goal (share of the operations' own time). Matrix products and dense",
        "convolutions run near the peak of a core here, and no fold makes them fewer:",
        "",
        "| what | largest shares |",
        "|---|---|",
    ]
    for name, shares in found.items():
        text = ", ".join(f"`{key}` {100 * share:.0f} %" for key, share in shares.items())
        rows.append(f"| {name} | {text} |")
    return [*rows, ""]


def _verdict(value: float, must: float, goal: float) -> str:
    return "goal" if value <= goal else "must" if value <= must else "missed"


def _forward(done: Mapping[str, Any], methods: Sequence[str]) -> list[str]:
    rows = []
    for threads in (1, 2):
        for batch in (1, 8):
            found = {s: done[k] for s in SIDES if (k := f"forward-{threads}t-{s}px-b{batch}") in done}
            if not found:
                continue
            many = "s" if threads > 1 else ""
            rows += [f"{threads} thread{many}, batch {batch}; in brackets the ratio to the official order:", ""]
            rows += [
                "| method | " + " | ".join(f"{s} px" for s in found) + " |",
                "|---|" + "---|" * len(found),
            ]
            for method in methods:
                cells = [_cell(times, method, methods[0]) for times in found.values()]
                rows.append(f"| {method} | " + " | ".join(cells) + " |")
            rows.append("")
    return rows


def _cell(times: Mapping[str, float], method: str, official: str) -> str:
    if method not in times:
        return "-"
    return f"{times[method] * 1e3:.0f} ({times[method] / times[official]:.2f})"


def _training(done: Mapping[str, Any]) -> list[str]:
    found = {t: done[k] for t in (1, 2) if (k := f"train-{t}t-224px-b4") in done}
    if not found:
        return ["Not measured."]
    first = next(iter(found.values()))
    rows = [
        "| method | " + " | ".join(f"{t} thread{'s' if t > 1 else ''}" for t in found) + " |",
        "|---|" + "---|" * len(found),
    ]
    official = next(iter(first))
    for method in first:
        rows.append(
            f"| {method} | " + " | ".join(_cell(times, method, official) for times in found.values()) + " |"
        )
    return rows


def _memory(done: Mapping[str, Any]) -> list[str]:
    prefix = "memory-512px-"
    rows = ["| method | peak, GB | after the imports, GB |", "|---|---|---|"]
    for key, value in done.items():
        if key.startswith(prefix):
            rows.append(f"| {key.removeprefix(prefix)} | {value['peak_gb']:.2f} | {value['imported_gb']:.2f} |")
    if "volume" in done:
        volume = done["volume"]
        rows += [
            "",
            f"A volume of 512 x 512 x {volume['slices']} with {volume['classes']} classes, the published size, slab by "
            f"slab: peak {volume['peak_gb']:.2f} GB (foreseen",
            f"{volume['estimated_gb']:.2f} GB), {volume['seconds_per_slice']:.2f} s of processor time per slice. The "
            "scores of all classes at once would take 21 GB.",
        ]
    return rows


def _plot(done: Mapping[str, Any], path: Path, methods: Sequence[str]) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), dpi=110)
    found = {s: done[k] for s in SIDES if (k := f"forward-1t-{s}px-b1") in done}
    for method in methods:
        points = [(s * s / 1e6, times[method] * 1e3) for s, times in found.items() if method in times]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=method)
    axes.set(xscale="log", yscale="log", xlabel="pixels, millions", ylabel="ms, one thread, batch 1")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
