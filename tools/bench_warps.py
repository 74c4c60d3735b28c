"""Warps and blends at 1024 x 768 against the forms that OpenCV and SciPy offer; a part of bench_tryon_bench.py."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SIZE, BATCH, ROUNDS = (1024, 768), 4, 5
NOTES = (
    "OpenCV's `remap` alone is faster than torch's sampling, and its `seamlessClone` than an exact solution: it solves",
    "in the mask's bounding box by sine transforms, with the target's own gradients where the mask is not, which is",
    "another equation than the paper's. Ours prescribes the target at the mask's border, by conjugate gradients with a",
    "two-grid preconditioner.",
)


def bench_warps() -> list[dict[str, Any]]:
    """Every comparison: name, theirs, seconds of both sides (median, in turns), and how far the results differ."""
    return [*_splines(), _flow(), *(_blend(share) for share in (0.22, 0.40))]


def warp_lines(rows: list[dict[str, Any]]) -> list[str]:
    """The section of the page."""
    lines = [
        "## Warps and blends",
        "",
        f"At {SIZE[0]} x {SIZE[1]}, processor seconds per image, batches of {BATCH}, median of {ROUNDS} rounds.",
        "",
        "| what | theirs | theirs, s | ours, s | ratio | difference |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = row["theirs_s"] / row["ours_s"]
        lines.append(
            f"| {row['what']} | {row['theirs']} | {row['theirs_s']:.4f} | {row['ours_s']:.4f} | {ratio:.2f}x | "
            f"{row['difference']} |"
        )
    return [*lines, "", *NOTES]


def _compared(
    what: str,
    theirs: str,
    them: Callable[[], Any],
    us: Callable[[], Any],
    differ: Callable[[Any, Any], str],
    images: int = BATCH,
) -> dict[str, Any]:
    """Both sides in turns; the first round warms up and gives the results."""
    difference = differ(them(), us())
    seconds: dict[str, list[float]] = {"theirs_s": [], "ours_s": []}
    for _ in range(ROUNDS):
        for key, function in (("theirs_s", them), ("ours_s", us)):
            started = time.process_time()
            function()
            seconds[key].append((time.process_time() - started) / images)
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    return {"what": what, "theirs": theirs, "difference": difference, **medians}


def _setting() -> tuple[np.ndarray, list[Any]]:
    from tryon_bench.tps import control_grid, fit_tps

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, *SIZE, 3), dtype=np.uint8)
    grid = control_grid(5)
    return images, [fit_tps(grid, grid + rng.normal(0, 0.02, grid.shape)) for _ in range(BATCH)]


def _splines() -> list[dict[str, Any]]:
    """Map and sampling of 25-point splines."""
    from scipy.interpolate import RBFInterpolator
    from scipy.ndimage import map_coordinates

    from tryon_bench.sampling import warp_batch
    from tryon_bench.tps import dense_map

    images, splines = _setting()
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    pixels = np.stack([(columns + 0.5) / SIZE[1], (rows + 0.5) / SIZE[0]], axis=2).reshape(-1, 2)

    def ours() -> list[np.ndarray]:
        maps = [dense_map(spline, SIZE, 8) for spline in splines]
        return [maps[0], warp_batch(images, np.stack(maps), (255, 255, 255))]

    def exact() -> list[np.ndarray]:
        """The spline at every pixel, as a numpy user writes it, and OpenCV's remap."""
        maps = [spline(pixels).reshape(*SIZE, 2) for spline in splines]
        return [maps[0], np.stack([_remap(i, m) for i, m in zip(images, maps, strict=True)])]

    def interpolator() -> list[np.ndarray]:
        maps = [
            RBFInterpolator(s.centres, s(s.centres), kernel="thin_plate_spline")(pixels).reshape(*SIZE, 2)
            for s in splines
        ]
        return [
            maps[0],
            np.stack([_coordinates(i, m, map_coordinates) for i, m in zip(images, maps, strict=True)]),
        ]

    def differ(a: list[np.ndarray], b: list[np.ndarray]) -> str:
        return f"map at most {np.abs((a[0] - b[0]) * SIZE[::-1]).max():.2f} px"

    return [
        _compared("thin-plate spline of 25 points", "numpy at every pixel, cv2.remap", exact, ours, differ),
        _compared(
            "thin-plate spline of 25 points", "SciPy RBFInterpolator, map_coordinates", interpolator, ours, differ
        ),
    ]


def _flow() -> dict[str, Any]:
    """Sampling alone, by a map that is there: what a flow costs beyond its estimate."""
    from tryon_bench.sampling import warp_batch
    from tryon_bench.tps import dense_map

    images, splines = _setting()
    maps = np.stack([dense_map(spline, SIZE, 8) for spline in splines])
    return _compared(
        "sampling at a dense map",
        "cv2.remap",
        lambda: np.stack([_remap(i, m) for i, m in zip(images, maps, strict=True)]),
        lambda: warp_batch(images, maps, (255, 255, 255)),
        lambda a, b: f"mean {np.abs(a.astype(int) - b).mean():.2f} gray levels (cv2 rounds positions to 1/32 px)",
    )


def _blend(share: float) -> dict[str, Any]:
    """Poisson blending of an ellipse whose half axes are that share of the picture."""
    import cv2
    from scipy.ndimage import gaussian_filter

    from tryon_bench.poisson import poisson_blend

    rng = np.random.default_rng(1)
    source, target = (
        gaussian_filter(rng.normal(128, 500, (*SIZE, 3)), (9, 9, 0)).clip(40, 215).astype(np.uint8)
        for _ in range(2)
    )
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    mask = ((y - 512) / (share * SIZE[0])) ** 2 + ((x - 384) / (share * SIZE[1])) ** 2 < 1
    rows, columns = np.nonzero(mask)
    # OpenCV puts the middle of the mask's box at a place
    middle = (int(columns.min() + columns.max()) // 2, int(rows.min() + rows.max()) // 2)
    white = mask.astype(np.uint8) * 255
    return _compared(
        f"Poisson blending, {mask.sum()} px",
        "cv2.seamlessClone",
        lambda: cv2.seamlessClone(source, target, white, middle, cv2.NORMAL_CLONE),
        lambda: poisson_blend(source, target, mask),
        lambda a, b: f"mean {np.abs(a.astype(int) - b)[mask].mean():.2f} gray levels",
        images=1,
    )


def _remap(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    import cv2

    x, y = ((where[..., k] * n - 0.5).astype(np.float32) for k, n in ((0, SIZE[1]), (1, SIZE[0])))
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(255,) * 3)


def _coordinates(image: np.ndarray, where: np.ndarray, map_coordinates: Callable[..., np.ndarray]) -> np.ndarray:
    place = [where[..., 1] * SIZE[0] - 0.5, where[..., 0] * SIZE[1] - 0.5]
    return np.stack(
        [map_coordinates(image[..., c], place, order=1, mode="constant", cval=255) for c in range(3)], 2
    )
