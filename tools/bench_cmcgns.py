"""Measure what cmcgns costs and write docs/bench_cmcgns.md.

Usage: python tools/bench_cmcgns.py          (about ten minutes of one core)

Times are processor seconds of one thread, the smallest of some repeats, so a busy machine matters little. Memory is the
growth of the largest resident size, measured in a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from official_losses import cross_attention, farthest_chain, patch_loss, report_loss, update_centroids
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from cmcgns import losses, official
from cmcgns._shared.io.images import write_png
from cmcgns.cluster import OnlineKMeans, assign, kmeans
from cmcgns.cluster.kmeans import farthest_chain as fast_chain
from cmcgns.config import Config
from cmcgns.data.pixels import read_pixels
from cmcgns.layers import CrossModalAttention, Predictor
from cmcgns.ragged import Ragged
from cmcgns.synth.planted import planted_dataset
from cmcgns.train import build_task
from cmcgns.transforms import film_tensor

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "bench_cmcgns.md"
DIM, PATCHES = 768, 49


def peak_kib() -> int:
    """Largest resident memory of this process so far; ru_maxrss would begin with the peak of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def cpu_s(function: Callable[[], Any], repeats: int = 3) -> float:
    """Smallest processor time of some calls; the first, which warms up, counts only if it is the only one."""
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        function()
        taken.append(time.process_time() - started)
    return min(taken)


def batch_of(pairs: int, seed: int = 0) -> tuple[Tensor, Ragged]:
    """Unit patches and sentences, 3 to 10 per report."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(3, 11, (pairs,), generator=generator)
    rows = torch.randn(int(counts.sum()), DIM, generator=generator)
    patches = torch.randn(pairs, PATCHES, DIM, generator=generator)
    return F.normalize(patches, dim=-1).requires_grad_(), Ragged(
        F.normalize(rows, dim=-1).requires_grad_(), counts
    )


def official_step(patches: Tensor, sentences: Ragged, parts: Any) -> Tensor:
    """Local losses in the official form."""
    attention, predictor, centroids = parts
    conditioned, cross = cross_attention(attention, patches, sentences.split())
    centroids = update_centroids(F.normalize(cross.detach(), dim=-1), centroids)
    return patch_loss(patches, conditioned, predictor) + report_loss(sentences.values, cross, centroids)


def our_step(patches: Tensor, sentences: Ragged, parts: Any) -> Tensor:
    """The same losses, vectorised."""
    attention, predictor, centroids = parts
    conditioned, cross = attention(patches, sentences)
    centroids = official.update_centroids(cross.detach(), centroids)
    report = losses.report_loss(sentences.values, cross, centroids, variant="official", false_negatives="bml")
    return losses.patch_loss(patches, conditioned, predictor) + report


def default_step(patches: Tensor, sentences: Ragged, parts: Any) -> Tensor:
    """The package's default losses: symmetric, additive weights, false negatives excluded, own k-means."""
    attention, predictor, clusters = parts
    conditioned, cross = attention(patches, sentences)
    clusters.update(cross)
    options: Any = {"temperature": 0.07, "false_negatives": "exclude", "symmetric": True}
    report = losses.report_loss(sentences.values, cross, clusters.active(), **options)
    return losses.patch_loss(patches, conditioned, predictor) + report


def local_losses() -> dict[str, Any]:
    """Forward and backward of all local losses, official form and ours."""
    return {"rows": [_local_row(pairs) for pairs in (8, 16, 32, 64)]}


def _local_row(pairs: int) -> dict[str, Any]:
    torch.manual_seed(0)
    attention, softmax = (CrossModalAttention(DIM, kind) for kind in ("sigmoid", "softmax"))
    predictor = Predictor(DIM)
    patches, sentences = batch_of(pairs)
    n, k = len(sentences.values), 32 if pairs < 32 else 128
    centroids = F.normalize(torch.randn(k, DIM), dim=-1)
    clusters = OnlineKMeans(DIM, k, start_step=0, queue=1024)
    clusters.update(sentences.values)
    parts = (attention, predictor, centroids)
    ours = cpu_s(lambda: our_step(patches, sentences, parts).backward())
    default = cpu_s(lambda: default_step(patches, sentences, (softmax, predictor, clusters)).backward())
    theirs = cpu_s(lambda: official_step(patches, sentences, parts).backward(), 2 if pairs < 64 else 1)
    with torch.no_grad():
        gap = float(official_step(patches, sentences, parts) - our_step(patches, sentences, parts))
    return {"pairs": pairs, "n": n, "k": k, "official": theirs, "ours": ours, "default": default, "gap": abs(gap)}


def scalar_reference() -> dict[str, Any]:
    """The report loss against the parity reference, which loops over every pair of sentences; forward only."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tests" / "cmcgns" / "reference_official.py")
    if spec is None or spec.loader is None:
        raise SystemExit("tests/cmcgns/reference_official.py is missing")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    with torch.no_grad():
        return {"rows": [_scalar_row(pairs, reference) for pairs in (2, 4, 8)]}


def _scalar_row(pairs: int, reference: Any) -> dict[str, Any]:
    _, sentences = batch_of(pairs)
    z1, z2 = sentences.values.double(), torch.randn(len(sentences.values), DIM, dtype=torch.float64)
    centroids = torch.randn(8, DIM, dtype=torch.float64)
    options: Any = {"variant": "official", "false_negatives": "bml"}
    theirs = cpu_s(lambda: reference.official_report_loss(z1, z2, centroids), 1)
    ours = cpu_s(lambda: losses.report_loss(z1, z2, centroids, **options), 5)
    return {"pairs": pairs, "n": len(z1), "reference": theirs, "ours": ours}


def whole_step() -> dict[str, Any]:
    """ResNet-50 and a BERT-base of random weights, forward and backward of 8 pairs; local losses of 64."""
    import timm
    from transformers import BertConfig, BertModel

    images, image_tower = torch.randn(8, 3, 224, 224), timm.create_model("resnet50", num_classes=0)
    text_tower = BertModel(BertConfig(), add_pooling_layer=False)
    tokens = torch.randint(1000, 20000, (8, 96))
    image_s = cpu_s(lambda: image_tower.forward_features(images).sum().backward(), 2)
    text_s = cpu_s(lambda: text_tower(input_ids=tokens).last_hidden_state.sum().backward(), 2)
    return {"image_s": 8 * image_s, "text_s": 8 * text_s}


def many_sentences() -> dict[str, Any]:
    """Report loss of 4096 sentences, forward and backward: growth of the largest resident size."""
    z1, z2 = (torch.randn(4096, DIM).requires_grad_() for _ in range(2))
    centroids = torch.randn(128, DIM)
    warm = torch.randn(256, DIM, requires_grad=True)
    losses.report_loss(warm, warm * 1.0, centroids).backward()
    before = peak_kib()
    options: Any = {"temperature": 0.07, "false_negatives": "exclude", "symmetric": True}
    seconds = cpu_s(lambda: losses.report_loss(z1, z2, centroids, **options).backward(), 1)
    grown = peak_kib() - before
    return {"extra_mb": grown / 1024, "seconds": seconds}


def clustering() -> dict[str, Any]:
    """k-means step and seeding against the official form, and agreement with planted groups."""
    return {"rows": [_cluster_row(n) for n in (410, 1024)], "ari": agreement()}


def _cluster_row(n: int) -> dict[str, Any]:
    points = F.normalize(torch.randn(n, DIM), dim=-1)
    centroids, generator = points[:128].clone(), torch.Generator().manual_seed(0)
    theirs = KMeans(128, n_init=1, max_iter=10, random_state=0)
    return {
        "n": n,
        "official_init": cpu_s(lambda: farthest_chain(points, 128), 1),
        "chain": cpu_s(lambda: fast_chain(points, 128, 0), 5),
        "plus_plus": cpu_s(lambda: kmeans(points, 128, iters=0, generator=generator), 5),
        "lloyd": cpu_s(lambda: kmeans(points, 128, init=centroids, iters=10), 5),
        "official_step": cpu_s(lambda: update_centroids(points, centroids), 2),
        "step": cpu_s(lambda: official.update_centroids(points, centroids), 5),
        "sklearn": cpu_s(lambda: theirs.fit(points.numpy()), 2),
    }


def agreement() -> list[dict[str, Any]]:
    """ARI on 32 planted groups of 4096 points, fitted on 410 of them, over five draws."""
    found: dict[str, list[float]] = {}
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        groups = torch.arange(4096) % 32
        centres = F.normalize(torch.randn(32, DIM, generator=generator), dim=-1)
        points = F.normalize(centres[groups] + 0.045 * torch.randn(4096, DIM, generator=generator), dim=-1)
        sample = points[torch.randperm(4096, generator=generator)[:410]]
        fitted = {
            "official chain": fast_chain(sample, 32, 0),
            "k-means++ seeding": kmeans(sample, 32, iters=0, generator=generator),
            "k-means++ and 10 Lloyd iterations": kmeans(sample, 32, generator=generator),
            "scikit-learn KMeans": torch.from_numpy(
                KMeans(32, n_init=1, random_state=seed).fit(sample.numpy()).cluster_centers_
            ),
        }
        for name, centroids in fitted.items():
            found.setdefault(name, []).append(float(adjusted_rand_score(groups, assign(points, centroids))))
    return [{"name": n, "mean": float(np.mean(v)), "low": min(v), "high": max(v)} for n, v in found.items()]


def rates() -> dict[str, Any]:
    """Films read and cut, training pairs and encoded films per processor second of the tiny model."""
    tiny = {
        "model": {
            "image": {"backbone": "tiny-resnet", "side_px": 64},
            "text": {"backbone": "tiny", "max_tokens": 128},
            "dim": 64,
        },
        "stages": 1,
    }
    data = planted_dataset(64, split="train")
    task = build_task(Config.model_validate(tiny), data)
    model: Any = task.model
    batch = task.batch(range(32), [np.random.default_rng(i) for i in range(32)])
    step = cpu_s(lambda: model.train()(batch)["loss"].backward())
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        film = np.random.default_rng(0).integers(0, 255, (512, 512), np.uint8)
        write_png(Path(folder) / "film.png", film)
        load = cpu_s(lambda: film_tensor(read_pixels(Path(folder) / "film.png"), side_px=224), 10)
        encode = cpu_s(lambda: model.model.eval().encode_image(batch["image"]))
    return {"films_read": 1 / load, "pairs_trained": 32 / step, "films_encoded": 32 / encode}


def cached_step(pairs: int, chunk: int | None) -> dict[str, Any]:
    """Largest resident size and loss of one step of a ResNet-18 at 128 px, with or without gradient caching."""
    settings = {
        "model": {
            "image": {"backbone": "resnet18", "side_px": 128},
            "text": {"backbone": "tiny", "max_tokens": 96, "dropout": 0.0},
            "dim": 128,
        },
        "stages": 1,
        "chunk": chunk,
    }
    task = build_task(Config.model_validate(settings), planted_dataset(pairs, side_px=128, split="train"))
    batch = task.batch(range(pairs), [np.random.default_rng(i) for i in range(pairs)])
    model: Any = task.model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    model({name: value[:2] for name, value in batch.items()})["loss"].backward()
    model.zero_grad()
    before = peak_kib()
    loss = model(batch)["loss"]
    loss.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    grown = peak_kib() - before
    return {"extra_mb": grown / 1024, "loss": loss.item(), "norm": norm.item()}


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "local": local_losses,
    "scalar": scalar_reference,
    "whole": whole_step,
    "many": many_sentences,
    "cluster": clustering,
    "rates": rates,
}


def measured(part: str, *arguments: str) -> dict[str, Any]:
    """A part, in a process of its own."""
    command = [sys.executable, __file__, part, *arguments]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(result.stdout)
    print(part, *arguments, found, file=sys.stderr, flush=True)
    return found


def verdict(passed: bool) -> str:
    """How a target ended."""
    return "met" if passed else "**missed**"


def page(batches: tuple[int, ...] = (16, 32, 64, 128)) -> str:
    """Measure everything and describe it."""
    local, scalar, whole = measured("local")["rows"], measured("scalar")["rows"], measured("whole")
    many, cluster, speed = measured("many"), measured("cluster"), measured("rates")
    ratios = [row["official"] / row["ours"] for row in local]
    encoders = whole["image_s"] + whole["text_s"]
    share = local[-1]["default"] / (encoders + local[-1]["default"])
    lines = [
        "# What cmcgns costs",
        "",
        "Written by `python tools/bench_cmcgns.py`. Processor seconds of one thread (smallest of some repeats; the "
        f"official form at 64 pairs once), torch {torch.__version__}, {platform.machine()}; D = {DIM}, {PATCHES} "
        "patches, 3 to 10 sentences per report.",
        "",
        "## Local losses: cross-modal attention, SimSiam, report loss, k-means step; forward and backward",
        "",
        "Official form: `tools/official_losses.py`, written from the specification. Ours: the same losses, vectorised. "
        "Default: the package's own (symmetric, softmax, false negatives excluded).",
        "",
        "| pairs | sentences | K | official form, s | ours, s | ratio | default, s | difference of the loss |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {r['pairs']} | {r['n']} | {r['k']} | {r['official']:.3f} | {r['ours']:.3f} | {ratio:.1f} | "
            f"{r['default']:.3f} | {r['gap']:.1e} |"
            for r, ratio in zip(local, ratios, strict=True)
        ),
        "",
        f"Target, at least 10 times at 64 pairs: {verdict(ratios[-1] >= 10)}. Goal, 20 times: "
        f"{verdict(ratios[-1] >= 20)}. Ratio growing with the batch: {verdict(ratios == sorted(ratios))}.",
        "",
        "Report loss alone against the parity reference (loops over every pair of sentences, forward only, float64), "
        "which is meant to be read and not to be fast:",
        "",
        "| pairs | sentences | reference, s | ours, s |",
        "|---|---|---|---|",
        *(f"| {r['pairs']} | {r['n']} | {r['reference']:.2f} | {r['ours']:.4f} |" for r in scalar),
        "",
        "## Share of a step at 64 pairs",
        "",
        f"ResNet-50 at 224 px {whole['image_s']:.1f} s, BERT-base with 96 tokens {whole['text_s']:.1f} s (8 pairs "
        f"measured, times 8), default local losses {local[-1]['default']:.2f} s: {100 * share:.1f} % of the step. "
        f"Target, at most 5 %: {verdict(share <= 0.05)}.",
        "",
        "## 4096 sentences",
        "",
        f"Report loss, symmetric, K = 128, forward and backward: {many['extra_mb']:.0f} MB on top, "
        f"{many['seconds']:.1f} s. Target, less than 2 GB: {verdict(many['extra_mb'] < 2048)}.",
        "",
        "## k-means, K = 128, milliseconds",
        "",
        "| N | official seeding | chain, vectorised | k-means++ | official step | step | up to 10 Lloyd iterations | "
        "scikit-learn, 10 iterations | official seeding / k-means++ | official step / step |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {r['n']} | "
            + " | ".join(
                f"{1000 * r[key]:.1f}"
                for key in ("official_init", "chain", "plus_plus", "official_step", "step", "lloyd", "sklearn")
            )
            + f" | {r['official_init'] / r['plus_plus']:.0f} | {r['official_step'] / r['step']:.0f} |"
            for r in cluster["rows"]
        ),
        "",
        "Agreement (ARI) with 32 planted groups, 768 dimensions, fitted on 410 of 4096 points, five draws:",
        "",
        "| centres | mean | smallest | largest |",
        "|---|---|---|---|",
        *(f"| {r['name']} | {r['mean']:.3f} | {r['low']:.3f} | {r['high']:.3f} |" for r in cluster["ari"]),
        "",
        "## Rates, per processor second",
        "",
        f"Films of 512 px read and cut to 224 px: {speed['films_read']:.0f}. Tiny model (ResNet, 64 px): "
        f"{speed['pairs_trained']:.0f} pairs trained, {speed['films_encoded']:.0f} films encoded.",
        "",
        "## Gradient caching",
        "",
        "ResNet-18 at 128 px, one step, chunks of 8 samples; memory on top of model and data, loss and norm of "
        "the gradient.",
        "",
        "| pairs | plain, MB | cached, MB | loss plain / cached | gradient norm plain / cached |",
        "|---|---|---|---|---|",
    ]
    for pairs in batches:
        plain, cached = measured("cached", str(pairs), "none"), measured("cached", str(pairs), "8")
        lines.append(
            f"| {pairs} | {plain['extra_mb']:.0f} | {cached['extra_mb']:.0f} | {plain['loss']:.6f} / "
            f"{cached['loss']:.6f} | {plain['norm']:.5f} / {cached['norm']:.5f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Without arguments: the whole page."""
    torch.set_num_threads(1)
    if len(sys.argv) == 1:
        PAGE.write_text(page(), encoding="utf-8")
    elif sys.argv[1] == "cached":
        chunk = None if sys.argv[3] == "none" else int(sys.argv[3])
        print(json.dumps(cached_step(int(sys.argv[2]), chunk)))
    else:
        print(json.dumps(PARTS[sys.argv[1]]()))


if __name__ == "__main__":
    main()
