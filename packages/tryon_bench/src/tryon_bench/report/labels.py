"""How metrics and numbers are written for people."""

from __future__ import annotations

import math

from ..engine.results import Result

_NAMES = {
    "ssim_rgb_gaussian_valid": "SSIM (RGB, Gaussian, cropped border)",
    "ssim_rgb_gaussian_reflect": "SSIM (RGB, Gaussian, mirrored border)",
    "ssim_rgb_gaussian_zero": "SSIM (RGB, Gaussian, zero border)",
    "ssim_gray_gaussian": "SSIM (gray, Gaussian)",
    "ssim_gray_uniform7": "SSIM (gray, 7x7 mean)",
    "ssim_rgb_uniform7": "SSIM (RGB, 7x7 mean)",
    "ms_ssim": "MS-SSIM",
    "psnr": "PSNR, dB",
    "lpips_alex": "LPIPS (alex)",
    "lpips_vgg": "LPIPS (vgg)",
    "lpips_squeeze": "LPIPS (squeeze)",
    "dists": "DISTS",
    "colour": "colour difference",
    "boundary": "boundary error",
    "garment_similarity": "garment similarity",
    "inception_score": "IS",
    "fd_effnet_lite0": "FD (EfficientNet-lite0)",
    "kd_effnet_lite0": "KD x1000 (EfficientNet-lite0)",
    "fd_dinov2": "FD (DINOv2)",
    "cmmd": "CMMD",
    "semantic_l2": "Semantic Score (l2)",
    "semantic_cosdist100": "Semantic Score (100 (1 - cos))",
}


def metric_label(metric: str) -> str:
    """Name of a metric as people write it."""
    if metric in _NAMES:
        return _NAMES[metric]
    for prefix, shown in (("fid_", "FID"), ("kid_x", "KID x"), ("lpips_", "LPIPS")):
        if metric.startswith(prefix):
            rest = metric.removeprefix(prefix).replace("_", " ")
            return f"{shown}{rest}" if prefix == "kid_x" else f"{shown} ({rest})"
    return metric.replace("_", " ")


def column_label(result: Result) -> str:
    """Metric, region and direction: the head of a column."""
    arrow = "\u2191" if result.higher_is_better else "\u2193"
    region = "" if result.region == "all" else f", {result.region}"
    return f"{metric_label(result.metric)}{region} {arrow}"


def number(value: float) -> str:
    """Four significant digits; words for what is no number."""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "infinite"
    return f"{value:.4g}"


def with_interval(result: Result) -> str:
    """A value and its 95 % interval."""
    if math.isnan(result.low):
        return number(result.value)
    return f"{number(result.value)} ({number(result.low)} to {number(result.high)})"
