"""Measure tryon-bench against the libraries it replaces; `make bench PKG=tryon_bench` writes docs/bench_tryon_bench.md.

Both sides run in one process on one thread, in turns, and are compared by processor time: other work on the machine
then changes little. Every part is kept in a JSON file as soon as it is measured, and is not measured again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", HF_HUB_OFFLINE="1")

import numpy as np
import torch
from bench_agnostic import agnostic_lines, bench_agnostic
from bench_pbe import bench_pbe, pbe_lines
from bench_warps import bench_warps, warp_lines

torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "runs" / "bench" / "tryon_bench.json"
PAGE = ROOT / "docs" / "bench_tryon_bench.md"
PAIRS, SIZE, METHODS = 64, (512, 384), ("a", "b", "c", "d")


def main() -> None:
    """Measure what is not measured yet and write the page."""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, Any] = json.loads(CACHE.read_text()) if CACHE.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[str, Callable[[], Any]] = {
            "ssim": partial(bench_ssim, folder),
            "frechet": bench_frechet,
            "memory": bench_memory,
            "agnostic": bench_agnostic,
            "pbe": bench_pbe,
            "warps": bench_warps,
            "suite_1": partial(bench_suite, folder, METHODS[:1]),
            "suite_4": partial(bench_suite, folder, METHODS),
        }
        for part, measure in parts.items():
            if part not in known:
                print(f"measuring {part}", file=sys.stderr)
                known[part] = measure()
                CACHE.write_text(json.dumps(known, indent=1))
    PAGE.write_text(page(known))
    print(PAGE.read_text())


def cpu(function: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of a call, and its result."""
    started = time.process_time()
    result = function()
    return time.process_time() - started, result


def write_images(folder: Path, methods: tuple[str, ...]) -> None:
    """Photos and results as PNG, once."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    for index in range(PAIRS):
        rng = np.random.default_rng(index)
        photo = gaussian_filter(rng.normal(128, 700, (*SIZE, 3)), (6, 6, 0))
        for number, name in enumerate(("photo", *METHODS)):
            path = folder / name / f"{index:03d}.png"
            if (name == "photo" or name in methods) and not path.exists():
                path.parent.mkdir(exist_ok=True)
                noisy = photo + rng.normal(0, 6 * number, photo.shape)
                Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)


def region_masks() -> list[np.ndarray]:
    """Everything, clothing, person, and a band around the clothing."""
    from tryon_bench.metrics.regions import edge_band

    clothing = np.zeros(SIZE, bool)
    clothing[150:380, 90:300] = True
    return [np.ones(SIZE, bool), clothing, ~clothing, edge_band(clothing, 16)]


def read(path: Path) -> np.ndarray:
    """An image as a library's user reads it."""
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


def tensor(image: np.ndarray) -> torch.Tensor:
    """(1, 3, H, W) float in 0..255."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()


def bench_ssim(folder: Path) -> dict[str, float]:
    """SSIM over four regions: one map and four means against four calls of torchmetrics."""
    from torchmetrics.functional.image import structural_similarity_index_measure as theirs

    from tryon_bench.metrics import ssim_map
    from tryon_bench.metrics.regions import masked_mean

    write_images(folder, METHODS[:1])
    masks = region_masks()
    ours_s = theirs_s = difference = 0.0
    for index in range(8):
        pred, ref = (read(folder / name / f"{index:03d}.png") for name in ("a", "photo"))

        def ours(pred: np.ndarray = pred, ref: np.ndarray = ref) -> list[float]:
            found = ssim_map(pred, ref, "rgb_gaussian_reflect")
            return [masked_mean(found, mask) for mask in masks]

        def with_torchmetrics(pred: np.ndarray = pred, ref: np.ndarray = ref) -> list[float]:
            means = []
            for mask in masks:
                _, full = theirs(tensor(pred), tensor(ref), data_range=255.0, return_full_image=True)
                means.append(float(full[0].mean(0)[torch.from_numpy(mask)].double().mean()))
            return means

        seconds, first = cpu(ours)
        ours_s += seconds
        seconds, second = cpu(with_torchmetrics)
        theirs_s += seconds
        difference = max(difference, *np.abs(np.subtract(first, second)))
    return {"ours_s": ours_s / 8, "theirs_s": theirs_s / 8, "difference": difference}


def bench_frechet() -> dict[str, float]:
    """Fréchet distance of cached features, d = 2048 and n = 2032, against torch-fidelity's eigenvalues."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    from tryon_bench.metrics import frechet_distance

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2032, 2048)), rng.normal(size=(2032, 2048)) * 1.1 + 0.05

    def theirs() -> float:
        statistics = [fid_features_to_statistics(torch.from_numpy(rows)) for rows in (x, y)]
        return float(fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])

    ours = min((cpu(lambda: frechet_distance(x, y)) for _ in range(2)), key=lambda item: item[0])
    reference = cpu(theirs)
    return {"ours_s": ours[0], "theirs_s": reference[0], "relative_difference": abs(ours[1] / reference[1] - 1)}


MEMORY = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from tryon_bench.engine.plan import Plan, Row
from tryon_bench.engine.run import run_plan
from tryon_bench.protocol.schema import Protocol

folder, count = Path(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
mask = np.zeros((96, 72), bool)
mask[20:70, 15:60] = True
for index in range(20):
    Image.fromarray(rng.integers(0, 256, (96, 72, 3), dtype=np.uint8)).save(folder / f"{index}.png")
rows = tuple(
    Row(str(i), folder / f"{i % 20}.png", folder / f"{i % 20}.png", {"x": folder / f"{(i + 1) % 20}.png"}, lambda: mask)
    for i in range(count)
)
plan = Plan("paired", rows, ("x",), (Protocol(name="cheap", lpips=(), colour=True),))
run_plan(plan, folder / f"run{count}", quiet=True)
# not ru_maxrss: a child inherits the peak of the process that started it
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def bench_memory() -> dict[str, float]:
    """Peak resident memory of decoding and scoring, by the number of images."""
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in (100, 1000, 5000):
            command = [sys.executable, "-c", MEMORY, folder, str(count)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            peaks[str(count)] = int(printed) / 1024
    return peaks


def bench_suite(folder: Path, methods: tuple[str, ...]) -> dict[str, Any]:
    """The whole suite on 64 pairs from files on disk: ours in one pass, the libraries one after the other."""
    write_images(folder, methods)
    weights = folder / "inception.pth"
    if not weights.exists():
        from tryon_bench.networks.inception import FIDInception

        torch.save(FIDInception(random_seed=0).state_dict(), weights)
    ours_s, ours = cpu(partial(our_suite, folder, methods))
    theirs_s, theirs = cpu(partial(their_suite, folder, methods, weights))
    differences = {
        key: max(abs(ours[m][key] - theirs[m][key]) / max(1.0, abs(theirs[m][key])) for m in methods)
        for key in ("ssim", "psnr", "lpips", "fid", "kid")
    }
    return {"methods": len(methods), "ours_s": ours_s, "theirs_s": theirs_s, "differences": differences}


def our_suite(folder: Path, methods: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Through the engine, without any cache."""
    from tryon_bench.engine.plan import Plan, Row
    from tryon_bench.engine.results import pair_results
    from tryon_bench.engine.run import read_chunks, read_features, run_plan
    from tryon_bench.metrics import frechet_distance, kid
    from tryon_bench.protocol.schema import LPIPSSpec, Protocol

    clothing = region_masks()[1]
    # SSIM over all, clothing and person, and over a fourth region: the clothing with a margin
    whole = Protocol(
        name="whole",
        regions=("all",),
        ssim=("rgb_gaussian_reflect",),
        lpips=(LPIPSSpec(net="alex"),),
        fid=("torch_fidelity",),
    )
    parts = Protocol(
        name="parts", regions=("clothing", "person"), ssim=("rgb_gaussian_reflect",), psnr=False, lpips=()
    )
    margin = Protocol(
        name="margin",
        regions=("clothing",),
        mask_dilation_px=16,
        ssim=("rgb_gaussian_reflect",),
        psnr=False,
        lpips=(),
    )
    names = [f"{index:03d}.png" for index in range(PAIRS)]
    rows = tuple(
        Row(
            name,
            folder / "photo" / name,
            folder / "photo" / name,
            {m: folder / m / name for m in methods},
            lambda: clothing,
        )
        for name in names
    )
    plan = Plan("paired", rows, methods, (whole, parts, margin), random_seed=0)
    run_dir = Path(tempfile.mkdtemp(dir=folder))
    run_plan(plan, run_dir, quiet=True)
    scores = [score for chunk in read_chunks(run_dir, plan) for score in chunk.scores if score.region == "all"]
    means = {(r.method, r.metric): r.value for r in pair_results(scores)}
    from tryon_bench.engine.features import sets_of

    (item,) = sets_of(whole)

    def features(name: str) -> np.ndarray:
        return read_features(run_dir, plan, f"{item.key}/{name}")

    photos = features("")
    return {
        m: {
            "ssim": means[m, "ssim_rgb_gaussian_reflect"],
            "psnr": means[m, "psnr"],
            "lpips": means[m, "lpips_alex"],
            "fid": frechet_distance(features(m), photos),
            "kid": kid(features(m), photos),
        }
        for m in methods
    }


def their_suite(folder: Path, methods: tuple[str, ...], weights: Path) -> dict[str, dict[str, float]]:
    """torchmetrics, lpips and torch-fidelity in sequence, each reading the images itself."""
    import lpips
    import torch_fidelity
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    from tryon_bench.networks.perceptual import LPIPS

    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    network.load_state_dict(LPIPS("alex", random_seed=0).model.state_dict())
    masks = region_masks()
    found: dict[str, dict[str, float]] = {}
    for method in methods:
        files = [(folder / method / f"{i:03d}.png", folder / "photo" / f"{i:03d}.png") for i in range(PAIRS)]
        similarity, noise, distance = [], [], []
        for pred, ref in files:
            a, b = tensor(read(pred)), tensor(read(ref))
            for mask in masks:
                value, full = structural_similarity_index_measure(a, b, data_range=255.0, return_full_image=True)
                full[0].mean(0)[torch.from_numpy(mask)].mean()
            similarity.append(float(value))
        for pred, ref in files:
            noise.append(float(peak_signal_noise_ratio(tensor(read(pred)), tensor(read(ref)), data_range=255.0)))
        with torch.inference_mode():
            for pred, ref in files:
                distance.append(float(network(tensor(read(pred)) / 127.5 - 1, tensor(read(ref)) / 127.5 - 1)))
        sets = torch_fidelity.calculate_metrics(
            input1=str(folder / method), input2=str(folder / "photo"), fid=True, kid=True, cuda=False, verbose=False,
            kid_subset_size=PAIRS, kid_subsets=1, feature_extractor_weights_path=str(weights), batch_size=8,
            cache=False, save_cpu_ram=True,
        )  # fmt: skip
        found[method] = {
            "ssim": float(np.mean(similarity)),
            "psnr": float(np.mean(noise)),
            "lpips": float(np.mean(distance)),
            "fid": sets["frechet_inception_distance"],
            "kid": sets["kernel_inception_distance_mean"],
        }
    return found


def page(known: dict[str, Any]) -> str:
    """The Markdown page."""
    ssim, frechet, memory = known["ssim"], known["frechet"], known["memory"]
    lines = [
        "# tryon-bench against the libraries it replaces",
        "",
        "`make bench PKG=tryon_bench`. One thread, both sides in turns in one process, processor seconds; network",
        "weights are random and the same on both sides. A ratio says how many times less time ours takes.",
        "",
        "| what | theirs, s | ours, s | ratio | must | goal |",
        "|---|---|---|---|---|---|",
    ]

    def row(name: str, part: dict[str, Any], must: str, goal: str) -> str:
        ratio = part["theirs_s"] / part["ours_s"]
        return f"| {name} | {part['theirs_s']:.3g} | {part['ours_s']:.3g} | {ratio:.2f}x | {must} | {goal} |"

    suite = f"{PAIRS} pairs at {SIZE[0]}x{SIZE[1]}: SSIM over four regions, PSNR, LPIPS, FID, KID"
    lines += [
        row("SSIM over four regions, one pair (torchmetrics, four calls)", ssim, ">= 10x", ""),
        row(f"{suite}, 1 method", known["suite_1"], ">= 2x", "3x"),
        row(f"{suite}, 4 methods", known["suite_4"], ">= 4x", "6x"),
        row("Fréchet distance, d=2048, n=2032 (torch-fidelity)", frechet, "< 2 s", ""),
        "",
        "The suite on their side is torchmetrics (SSIM for each of four regions, PSNR), lpips and torch-fidelity one",
        "after the other, each reading the images; ours is one run of the engine, without a cache, for all methods.",
        "",
        "Same numbers: largest difference (relative above 1)",
        "",
        f"- SSIM over regions {ssim['difference']:.1e}, Fréchet distance {frechet['relative_difference']:.1e}",
    ]
    for name in ("suite_1", "suite_4"):
        shown = ", ".join(f"{key} {value:.1e}" for key, value in known[name]["differences"].items())
        lines.append(f"- suite, {known[name]['methods']} methods: {shown}")
    peaks = ", ".join(f"{count} pairs {peak:.0f} MiB" for count, peak in memory.items())
    lines += ["", f"Peak memory of decoding and scoring at 96x72 (SSIM, PSNR, colour): {peaks}.", ""]
    lines += [*agnostic_lines(known["agnostic"]), "", *warp_lines(known["warps"]), "", *pbe_lines(known["pbe"])]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
