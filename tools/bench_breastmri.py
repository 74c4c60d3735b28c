"""Measure breastmri on one thread and write the table docs/bench_breastmri.md.

Usage: python tools/bench_breastmri.py
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before torch is imported

import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import nn

from breastmri._shared.checkpoints import save_model
from breastmri.attention import coam
from breastmri.classifier import Classifier, load_classifier
from breastmri.config import LossConfig
from breastmri.export import export_onnx, onnx_session
from breastmri.model import seeded_net
from breastmri.phantom import PhantomConfig, make_phantom
from breastmri.preprocess import Preprocessing, breast_input
from breastmri.saliency import LOCALISERS
from breastmri.task import Objective

ROOT = Path(__file__).resolve().parent.parent
GOAL_RATIO, GOAL_MIB = 300, 150
CHANNELS = 512

MEASURE_MEMORY = """
import sys, torch
torch.set_num_threads(1)
from breastmri.attention import coam

def mib(field):
    with open("/proc/self/status") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith(field)) / 1024

n, kind = int(sys.argv[1]), sys.argv[2]
a = torch.rand(1, 512, n)
coam(a[:, :, :64])
before = mib("VmRSS")
if kind == "brute":
    (a[0].T @ a[0]).mean(1)
else:
    coam(a, kind)
print(max(0.0, mib("VmHWM") - before))
"""


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Least processor time of some calls after one to warm up; on a busy machine it hardly grows."""
    work()
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def brute(a: torch.Tensor) -> torch.Tensor:
    """COAM by the whole Gram matrix."""
    return (a[0].T @ a[0]).mean(1)


def extra_mib(n: int, kind: str) -> float:
    """Peak memory beyond the feature map, in a process of its own."""
    command = [sys.executable, "-c", MEASURE_MEMORY, str(n), kind]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def coam_rows() -> Iterator[list[str]]:
    """Linear form against the N x N matrix."""
    for n in (2048, 8192, 16_384, 65_536):
        a = torch.rand(1, CHANNELS, n)
        linear = seconds(partial(coam, a), 20)
        cells = [f"{n}", f"{1000 * linear:.2f}", f"{extra_mib(n, 'gram'):.0f}"]
        if n <= 16_384:
            dense = seconds(partial(brute, a), 2)
            yield [*cells, f"{1000 * dense:.0f}", f"{extra_mib(n, 'brute'):.0f}", f"{dense / linear:.0f}"]
        else:
            yield [*cells, "not tried", f"{4 * n * n / 2**20:.0f} (computed)", ""]


def kind_rows() -> Iterator[list[str]]:
    """Every kind at one size."""
    a = torch.rand(1, CHANNELS, 4096)
    for kind in ("gram", "cosine", "pearson", "energy", "rectified", "softmax", "topk"):
        yield [kind, f"{1000 * seconds(partial(coam, a, kind), 2):.1f}", f"{extra_mib(4096, kind):.0f}"]


def map_rows() -> Iterator[list[str]]:
    """Our maps and MONAI's from the same network and volume, each with its own forward pass, no up-sampling."""
    from monai.visualize import CAM, GradCAM

    net = seeded_net(0, in_channels=3, backbone="tiny", head="linear", embed_dim=None).eval()
    x = torch.randn(1, 3, 32, 128, 128)
    plain = {"upsampler": lambda size: lambda m: m, "postprocessing": lambda m: m}
    with torch.no_grad():
        yield ["forward pass alone", f"{1000 * seconds(partial(net, x), 3):.0f}"]
    for name in ("coam", "coam-weighted", "cam", "grad-cam", "grad-cam++", "hires-cam", "layer-cam"):
        yield [name, f"{1000 * seconds(partial(LOCALISERS[name], net, x, 0), 3):.0f}"]
    theirs = {
        "MONAI CAM": CAM(net, "backbone", "head.classifier", **plain),
        "MONAI GradCAM": GradCAM(net, "backbone", **plain),
    }
    for name, method in theirs.items():
        yield [name, f"{1000 * seconds(partial(method, x, class_idx=[0]), 2):.0f}"]


def stored_model(directory: Path, backbone: str, size: tuple[int, int, int]) -> Classifier:
    """A classifier with random weights."""
    stride = None if backbone == "tiny" else 16
    net = seeded_net(0, in_channels=3, backbone=backbone, output_stride=stride)
    loss = LossConfig()
    saved = {
        "package": "breastmri",
        "model": net.config,
        "loss": loss.model_dump(),
        "preprocessing": Preprocessing(size=size).model_dump(),
        "phantom": True,
    }
    save_model(directory, Objective(net, loss, 0).state_dict(), saved)
    return load_classifier(directory, device="cpu")


def inference_rows() -> Iterator[list[str]]:
    """Score and COAM of one breast of 256 x 256 x 32."""
    size = (32, 256, 256)
    x = torch.randn(1, 3, *size)
    for backbone in ("tiny", "resnet3d18", "densenet3d121"):
        with tempfile.TemporaryDirectory() as folder:
            classifier = stored_model(Path(folder) / "model", backbone, size)
            net = classifier.net
            export_onnx(classifier, Path(folder))
            session = onnx_session(Path(folder) / "model.onnx", threads=1)
            onnx = seconds(partial(session.run, None, {"image": x.numpy()}), 2)
        fp32 = seconds(partial(scored, net, x), 2)
        bf16 = seconds(partial(scored, net, x, bf16=True), 2)
        drift = abs(float(scored(net, x)) - float(scored(net, x, bf16=True)))
        yield [backbone, f"{fp32:.2f}", f"{bf16:.2f}", f"{onnx:.2f}", f"{drift:.1e}"]


def scored(net: nn.Module, x: torch.Tensor, *, bf16: bool = False) -> torch.Tensor:
    """Score of one forward pass."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        result: torch.Tensor = net(x)
        return result


def voxel_rows() -> Iterator[list[str]]:
    """Cost against voxels."""
    net = seeded_net(0, in_channels=3, backbone="resnet3d18", output_stride=16).eval()
    for size in ((16, 64, 64), (32, 64, 64), (32, 128, 128), (32, 256, 256)):
        x = torch.randn(1, 3, *size)
        cost = seconds(partial(scored, net, x), 2)
        voxels = x[0, 0].numel()
        yield [" x ".join(map(str, size)), f"{voxels}", f"{cost:.3f}", f"{1e6 * cost / voxels:.2f}"]


def preprocessing_rows() -> Iterator[list[str]]:
    """Studies -> network inputs, with a given breast mask and with our own crop."""
    from dataclasses import replace

    for size in ((64, 40, 12), (256, 160, 48)):
        spacing = (256 / size[0], 160 / size[1], 72 / size[2])
        study = make_phantom(0, kind="malignant", config=PhantomConfig(size=size, spacing_mm=spacing)).study
        for name, given in (("given mask", study), ("own crop", replace(study, breast_mask=None))):
            cost = seconds(partial(breast_input, given, "left", Preprocessing()), 3)
            yield [" x ".join(map(str, size)), name, f"{cost:.2f}", f"{study.phases.size / cost / 1e6:.1f}"]


def table(title: str, note: str, header: list[str], rows: Iterator[list[str]]) -> list[str]:
    """Lines of a table; rows are shown as they come."""
    lines = [f"## {title}", "", note, "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in rows:
        lines.append("| " + " | ".join(row) + " |")
        sys.stderr.write(lines[-1] + "\n")
    return [*lines, ""]


def main() -> None:
    """Measure, write the page, and fail where a goal is missed."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    coams = list(coam_rows())
    lines = [
        "# Cost of breastmri",
        "",
        "Processor seconds of one thread, the least of some runs; memory beyond the input. "
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} shared cores. Made by `make bench PKG=breastmri`.",
        "",
        *table(
            "COAM",
            f"`gram`, C = {CHANNELS}, float32. Goals: at least {GOAL_RATIO} times faster than the N x N matrix at N = "
            f"8192, less than {GOAL_MIB} MiB at N = 65,536.",
            ["positions N", "linear, ms", "extra MiB", "N x N, ms", "extra MiB", "ratio"],
            iter(coams),
        ),
        *table(
            "COAM by kind",
            "N = 4096, C = 512; the last three are streamed.",
            ["kind", "ms", "extra MiB"],
            kind_rows(),
        ),
        *table(
            "Maps",
            "Tiny network, 32 x 128 x 128 voxels, map of 16 x 32 x 32 cells; every row includes its forward pass.",
            ["map", "ms"],
            map_rows(),
        ),
        *table(
            "Inference",
            "One breast of 256 x 256 x 32, 3 channels, output stride 16, random weights; drift: |bf16 - fp32| of the "
            "score.",
            ["backbone", "fp32, s", "bf16 autocast, s", "ONNX Runtime with COAM, s", "drift"],
            inference_rows(),
        ),
        *table(
            "Cost against voxels",
            "ResNet-18, fp32.",
            ["input", "voxels", "s", "s per million voxels"],
            voxel_rows(),
        ),
        *table(
            "Preprocessing",
            "Six phases to one input of 256 x 256 x 32.",
            ["study", "breast region", "s per breast", "million voxels per s"],
            preprocessing_rows(),
        ),
    ]
    (ROOT / "docs" / "bench_breastmri.md").write_text("\n".join(lines), encoding="utf-8")
    ratio, memory = float(coams[1][5]), float(coams[3][2])
    missed = [f"ratio {ratio:.0f}"] * (ratio < GOAL_RATIO) + [f"{memory:.0f} MiB"] * (memory > GOAL_MIB)
    sys.exit(f"error: goals missed: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
