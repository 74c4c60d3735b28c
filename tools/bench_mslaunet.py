"""Measure the speed and memory of MSLAU-Net against the official order and its peers; write docs/bench_mslaunet.md.

Usage: python tools/bench_mslaunet.py [--cache FILE] [--rounds 3] [--page-only]

All methods of a case run interleaved in one process, `rounds` times; the least time counts. One thread: processor time
of the process, which other programs disturb little. Two threads: wall time. Finished cases are kept in the cache, so
that the bench can be stopped and run again. Random weights, 9 classes, 3 channels.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from bench_mslaunet_page import write_page
from official_order import OfficialOrder
from torch import nn

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent
CLASSES = 9
OFFICIAL = "official order"
OURS = ("ours", "ours corrected", "folded", "folded corrected", "bf16 folded", "ONNX Runtime")
PEERS = ("MONAI UNet", "MONAI SwinUNETR", "smp Unet-resnet34")
PROFILED = ("bf16 folded", "ONNX Runtime", "training step, bf16")
TRAINING = ("official order", "ours", "official order bf16", "ours bf16", "ours corrected bf16")


class Case(NamedTuple):
    """One measurement of several methods."""

    kind: str
    threads: int
    side: int
    batch: int
    methods: tuple[str, ...]

    @property
    def key(self) -> str:
        """Its name in the cache."""
        return f"{self.kind}-{self.threads}t-{self.side}px-b{self.batch}"


def peak_kib() -> int:
    """Largest resident memory of this process so far; ru_maxrss would begin with the peak of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def cases() -> Iterator[Case]:
    """All cases, the ones that the bars are about first."""
    everything = (OFFICIAL, *OURS, *PEERS)
    yield Case("forward", 1, 224, 1, everything)
    yield Case("train", 1, 224, 4, TRAINING)
    yield Case("forward", 1, 1024, 1, (OFFICIAL, *OURS))
    yield Case("forward", 1, 224, 8, everything)
    for side in (512, 256, 384):
        yield Case("forward", 1, side, 1, everything)
    yield Case("forward", 2, 224, 1, everything)
    yield Case("train", 2, 224, 4, TRAINING)
    yield Case("forward", 2, 512, 1, everything)
    yield Case("forward", 2, 224, 8, everything)
    for side in (256, 384):
        yield Case("forward", 2, side, 1, everything)
    yield Case("forward", 2, 1024, 1, (OFFICIAL, *OURS))
    for threads in (1, 2):
        for side in (256, 384, 512):
            yield Case("forward", threads, side, 8, everything)


class Methods:
    """Builds each method once."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.models: dict[str, nn.Module] = {}

    def forward(self, name: str, case: Case) -> Callable[[], Any]:
        """One forward pass of a batch, ready to be timed."""
        image = torch.randn(case.batch, 3, case.side, case.side, generator=torch.Generator().manual_seed(0))
        if name == "ONNX Runtime":
            session, array = self._session(case.threads), image.numpy()
            return lambda: session.run(None, {"image": array})
        model = self._model(name)
        image = image.to(next(model.parameters()).dtype)
        return lambda: model(image)

    def train(self, name: str, case: Case) -> Callable[[], Any]:
        """One step: forward, 0.4 CE + 0.6 Dice, backward, SGD."""
        from mslaunet.losses import DiceCELoss

        model = _build(name.removesuffix(" bf16")).train()
        image = torch.randn(case.batch, 3, case.side, case.side)
        mask = torch.randint(0, CLASSES, (case.batch, case.side, case.side))
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        criterion = DiceCELoss.official()

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=name.endswith("bf16")):
                logits = model(image)
            loss = criterion(logits.float(), mask)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return step

    def _model(self, name: str) -> nn.Module:
        if name not in self.models:
            self.models[name] = _build(name)
        return self.models[name]

    def _session(self, threads: int) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        path = str(self.onnx_file())
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def onnx_file(self) -> Path:
        """The exported network, written once."""
        from mslaunet.graph import export_program, write_onnx

        path = self.scratch / "official.onnx"
        if not path.exists():
            write_onnx(export_program(_build("ours")), path)
        return path


def _build(name: str) -> Any:
    """A network in eval mode with weights decided by a seed."""
    from mslaunet.baselines import monai_unet
    from mslaunet.model import MSLAUNet

    torch.manual_seed(0)
    if name == OFFICIAL:
        return OfficialOrder(CLASSES).eval()
    if name in ("ours", "ours corrected"):
        return MSLAUNet(CLASSES, preset="official" if name == "ours" else "corrected").eval()
    if name == "folded corrected":
        return MSLAUNet(CLASSES).eval().fold()
    if name in ("folded", "bf16 folded"):
        folded = MSLAUNet(CLASSES, preset="official").eval().fold()
        return folded.bfloat16() if name == "bf16 folded" else folded
    if name == "MONAI UNet":
        channels = (32, 64, 128, 256, 512)
        return monai_unet(in_channels=3, num_classes=CLASSES, channels=channels).eval()
    if name == "MONAI SwinUNETR":
        from monai.networks.nets import swin_unetr

        swin_unetr.rearrange = _permuted  # its einops is not installed here, and only orders axes there
        return swin_unetr.SwinUNETR(in_channels=3, out_channels=CLASSES, feature_size=24, spatial_dims=2).eval()
    from segmentation_models_pytorch import Unet

    return Unet("resnet34", encoder_weights=None, in_channels=3, classes=CLASSES).eval()


def _permuted(x: torch.Tensor, pattern: str) -> torch.Tensor:
    """What einops.rearrange does with "n c h w -> n h w c"."""
    before, after = (side.split() for side in pattern.split("->"))
    return x.permute([before.index(axis) for axis in after])


def measure(case: Case, methods: Methods, rounds: int) -> dict[str, float]:
    """Least seconds of every method, interleaved."""
    torch.set_num_threads(case.threads)
    make = methods.forward if case.kind == "forward" else methods.train
    steps = {name: make(name, case) for name in case.methods}
    clock = time.process_time if case.threads == 1 else time.perf_counter
    best = dict.fromkeys(steps, float("inf"))
    grad = torch.inference_mode if case.kind == "forward" else torch.enable_grad
    with grad():
        for turn in range(rounds + 1):
            for name, step in steps.items():
                repeats = 5 if turn and best[name] < 0.3 else 1
                for _ in range(repeats):
                    start = clock()
                    step()
                    best[name] = min(best[name], clock() - start)
    return best


def profile(kind: str, methods: Methods) -> dict[str, float]:
    """Share of each operation in the time of what misses a goal: a forward pass in bfloat16, ONNX, a training step."""
    torch.set_num_threads(1)
    if kind == "ONNX Runtime":
        return _profile_onnx(methods)
    case = Case("train" if "training" in kind else "forward", 1, 224, 4 if "training" in kind else 1, ())
    step = methods.train("ours bf16", case) if case.kind == "train" else methods.forward("bf16 folded", case)
    with torch.inference_mode() if case.kind == "forward" else torch.enable_grad():
        step()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            for _ in range(3):
                step()
    return _shares({event.key: event.self_cpu_time_total for event in profiler.key_averages()})


def _profile_onnx(methods: Methods) -> dict[str, float]:
    """The least time of every node over some runs, summed by kind of operation."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_profiling = 1, True
    options.profile_file_prefix = str(methods.scratch / "onnx_profile")
    path, runs = methods.onnx_file(), 10
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = np.zeros((1, 3, 224, 224), np.float32)
    for _ in range(runs):
        session.run(None, {"image": image})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = [e for e in events if e.get("cat") == "Node" and e["name"].endswith("kernel_time")]
    per_run = len(nodes) // runs
    times: dict[str, float] = {}
    for i in range(per_run):
        kind = nodes[i]["args"]["op_name"]
        times[kind] = times.get(kind, 0.0) + min(node["dur"] for node in nodes[i::per_run])
    return _shares(times)


def _shares(times: dict[str, float]) -> dict[str, float]:
    total = sum(times.values())
    largest = sorted(times, key=lambda name: -times[name])[:8]
    return {name: times[name] / total for name in largest}


def peak_memory(name: str, side: int) -> dict[str, float]:
    """Peak resident memory (GB) of a process that runs one forward pass, and before it built the network."""
    return _child(f"child_memory({name!r}, {side})")


def child_memory(name: str, side: int) -> None:
    """Print the peak memory of this process before and after a forward pass."""
    torch.set_num_threads(1)
    before = peak_kib()
    model = _build(name)
    with torch.inference_mode():
        model(torch.zeros(1, 3, side, side, dtype=next(model.parameters()).dtype))
    after = peak_kib()
    sys.stdout.write(json.dumps({"imported_gb": before * 1024 / 1e9, "peak_gb": after * 1024 / 1e9}) + "\n")


def child_volume(slices: int, classes: int) -> None:
    """Predict a 512 x 512 volume slab by slab with the published size; print peak memory and seconds per slice."""
    from mslaunet.data.loading import LoadedCase
    from mslaunet.model import MSLAUNet
    from mslaunet.predict import PredictOptions, Predictor
    from mslaunet.preprocess import Preprocessing

    torch.set_num_threads(1)
    torch.manual_seed(0)
    plan = Preprocessing(intensity="window", num_channels=1)
    names = {i: f"class_{i}" for i in range(classes)}
    model = MSLAUNet(classes, in_channels=1).eval().fold()
    options = PredictOptions(max_memory_gb=4)
    predictor = Predictor(model, plan, names, {}, torch.device("cpu"), options=options)
    rng = np.random.default_rng(0)
    volume = rng.integers(-1000, 1000, (1, slices, 512, 512), dtype=np.int16).astype(np.float32)
    start = time.process_time()
    result = predictor.segment(LoadedCase(volume, None, (2.0, 0.8, 0.8), None))
    seconds = (time.process_time() - start) / slices
    peak = peak_kib() * 1024 / 1e9
    answer = {
        "peak_gb": peak,
        "estimated_gb": result.estimated_bytes / 1e9,
        "seconds_per_slice": seconds,
        "slices": slices,
        "classes": classes,
    }
    sys.stdout.write(json.dumps(answer) + "\n")


def main() -> None:
    """Measure what is not in the cache yet, then write table and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "bench_mslaunet.json", help="finished cases")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds after a warm-up")
    parser.add_argument("--max-minutes", type=float, default=None, help="start no case after this time")
    parser.add_argument("--page-only", action="store_true", help="write table and plot of what is in the cache")
    arguments = parser.parse_args()
    cache: Path = arguments.cache.resolve()
    cache.parent.mkdir(parents=True, exist_ok=True)
    done: dict[str, Any] = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
    if not arguments.page_only:
        run(done, cache, arguments.rounds, arguments.max_minutes)
    write_page(done, ROOT / "docs", OFFICIAL, OURS, PEERS)


def run(done: dict[str, Any], cache: Path, rounds: int, max_minutes: float | None) -> None:
    """Fill the cache."""
    begun = time.monotonic()
    methods = Methods(cache.parent)

    def late() -> bool:
        return max_minutes is not None and time.monotonic() - begun > 60 * max_minutes

    def keep(key: str, value: Any) -> None:
        done[key] = value
        cache.write_text(json.dumps(done, indent=1), encoding="utf-8")
        sys.stderr.write(f"{key}: {value}\n")

    order = list(cases())
    for case in order[:5]:
        if case.key not in done and not late():
            keep(case.key, measure(case, methods, rounds))
            gc.collect()
    for kind in PROFILED:
        if f"profile-{kind}" not in done and not late():
            keep(f"profile-{kind}", profile(kind, methods))
    for name in (OFFICIAL, *OURS[:-1], *PEERS):
        key = f"memory-512px-{name}"
        if key not in done and not late():
            keep(key, peak_memory(name, 512))
    if "volume" not in done and not late():
        keep("volume", _child("child_volume(200, 100)"))
    for case in order[5:]:
        if case.key not in done and not late():
            keep(case.key, measure(case, methods, rounds))
            gc.collect()


def _child(call: str) -> Any:
    """What a function of this file prints in a process of its own."""
    code = f"import sys; sys.path.insert(0, {str(TOOLS)!r})\nimport bench_mslaunet\nbench_mslaunet.{call}"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(out.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
