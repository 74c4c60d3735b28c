"""Image and distribution metrics of try-on evaluation in plain loops: the parity reference.

Written from the written specification alone (sections 1 to 5, the variants of 4.1 and 4.2, of the tryon_bench spec)
and from the metrics' papers, without reading `packages/tryon_bench`, so that an agreement of the two means something.
Everything is float64; windows, pairs and neighbours are explicit loops over small inputs, random subsets are arguments.

Images are (H, W, C) arrays, gray ones (H, W); features are (n, d).
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg import sqrtm

Array = np.ndarray
MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


# ---------------------------------------------------------------- SSIM
def gray_l(image: Array) -> Array:
    """Pillow's mode "L" of uint8 RGB (H, W, 3): ITU-R 601-2 luma in 16-bit integers, rounded -> uint8 (H, W)."""
    height, width = image.shape[:2]
    out = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            r, g, b = (int(v) for v in image[y, x])
            out[y, x] = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16
    return out


def gaussian_window(size: int = 11, sigma: float = 1.5) -> Array:
    """Normalised Gaussian weights (size, size)."""
    middle = size // 2
    rows = [
        [math.exp(-((y - middle) ** 2 + (x - middle) ** 2) / (2 * sigma**2)) for x in range(size)]
        for y in range(size)
    ]
    return np.array(rows) / np.sum(rows)


def uniform_window(size: int = 7) -> Array:
    """Equal weights (size, size)."""
    return np.full((size, size), 1.0 / size**2)


def bordered(plane: Array, radius: int, border: str) -> Array:
    """A plane (H, W) made ready for a sliding window: `valid` as it is, `reflect` mirrored, `zero` padded."""
    if border == "valid":
        return plane
    return np.pad(plane, radius, mode="reflect") if border == "reflect" else np.pad(plane, radius)


def ssim_maps(
    a: Array,
    b: Array,
    window: Array,
    border: str = "valid",
    data_range: float = 255.0,
    sample_covariance: bool = False,
) -> tuple[Array, Array]:
    """SSIM and contrast-structure maps of two planes; `valid` shrinks them by the radius on every side.

    `sample_covariance` multiplies (co)variances by n / (n - 1), n the number of window pixels, as scikit-image does
    by default. K1 = 0.01, K2 = 0.03.
    """
    size = len(window)
    a, b = (bordered(np.asarray(p, np.float64), size // 2, border) for p in (a, b))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    scale = size**2 / (size**2 - 1) if sample_covariance else 1.0
    height, width = a.shape[0] - size + 1, a.shape[1] - size + 1
    full, contrast = np.empty((height, width)), np.empty((height, width))
    for y in range(height):
        for x in range(width):
            p, q = a[y : y + size, x : x + size], b[y : y + size, x : x + size]
            mean_p, mean_q = (window * p).sum(), (window * q).sum()
            var_p = scale * (window * (p - mean_p) ** 2).sum()
            var_q = scale * (window * (q - mean_q) ** 2).sum()
            cov = scale * (window * (p - mean_p) * (q - mean_q)).sum()
            contrast[y, x] = (2 * cov + c2) / (var_p + var_q + c2)
            full[y, x] = contrast[y, x] * (2 * mean_p * mean_q + c1) / (mean_p**2 + mean_q**2 + c1)
    return full, contrast


def planes(image: Array) -> list[Array]:
    """The channels of (H, W, C), or the one plane of (H, W)."""
    return [image] if image.ndim == 2 else [image[..., c] for c in range(image.shape[2])]


def ssim(a: Array, b: Array, window: Array, **options: object) -> float:
    """Mean of the SSIM maps over channels and map pixels; options of `ssim_maps`."""
    maps = [ssim_maps(p, q, window, **options)[0] for p, q in zip(planes(a), planes(b), strict=True)]
    return float(np.mean(maps))


def ssim_torchmetrics_old(a: Array, b: Array, data_range: float = 255.0) -> float:
    """Variant B: RGB, Gaussian 11, border cropped (torchmetrics <= 1.4, scikit-image RGB Gaussian)."""
    return ssim(a, b, gaussian_window(), data_range=data_range)


def ssim_torchmetrics_new(a: Array, b: Array, data_range: float = 255.0) -> float:
    """Variant A: RGB, Gaussian 11, reflect-padded border counted (torchmetrics >= 1.5)."""
    return ssim(a, b, gaussian_window(), border="reflect", data_range=data_range)


def ssim_gray_gaussian(a: Array, b: Array) -> float:
    """Variant C (HR-VITON): uint8 RGB through mode L, Gaussian 11, border cropped."""
    return ssim(gray_l(a), gray_l(b), gaussian_window())


def ssim_gray_uniform(a: Array, b: Array) -> float:
    """Variant D: uint8 RGB through mode L, uniform 7 x 7, sample covariance, border cropped."""
    return ssim(gray_l(a), gray_l(b), uniform_window(), sample_covariance=True)


def ssim_rgb_uniform(a: Array, b: Array, data_range: float = 255.0) -> float:
    """Variant F: RGB, uniform 7 x 7, sample covariance, border cropped."""
    return ssim(a, b, uniform_window(), data_range=data_range, sample_covariance=True)


def ssim_zero_padded(a: Array, b: Array, data_range: float = 255.0) -> float:
    """Variant G (pytorch-ssim): RGB, Gaussian 11, zeros around the picture, border counted."""
    return ssim(a, b, gaussian_window(), border="zero", data_range=data_range)


def on_canvas(image: Array, mask: Array, fill: float = 0.0) -> Array:
    """`mask * image + (1 - mask) * fill` of (H, W, C) and (H, W): the region on the survey's canvas (2.3)."""
    return np.where(mask[..., None] > 0, image, fill)


def ssim_canvas(a: Array, b: Array, mask: Array, fill: float = 0.0, data_range: float = 255.0) -> float:
    """Variant B of the two canvas images, averaged over the whole canvas."""
    return ssim_torchmetrics_old(on_canvas(a, mask, fill), on_canvas(b, mask, fill), data_range)


def ssim_masked(a: Array, b: Array, mask: Array, data_range: float = 255.0) -> float:
    """Mean of variant B's map where the whole 11 x 11 window lies in the mask (2.3); NaN without such a pixel."""
    window, values = gaussian_window(), []
    maps = [ssim_maps(p, q, window, data_range=data_range)[0] for p, q in zip(planes(a), planes(b), strict=True)]
    for y in range(maps[0].shape[0]):
        for x in range(maps[0].shape[1]):
            if mask[y : y + 11, x : x + 11].all():
                values.append(np.mean([m[y, x] for m in maps]))
    return float(np.mean(values)) if values else math.nan


def halved(plane: Array) -> Array:
    """Means of 2 x 2 blocks; an odd last row or column is dropped: (H, W) -> (H // 2, W // 2)."""
    rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
    blocks = [[plane[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean() for x in range(columns)] for y in range(rows)]
    return np.array(blocks)


def ms_ssim(
    a: Array,
    b: Array,
    weights: Sequence[float] = MS_WEIGHTS,
    border: str = "valid",
    last_border: str | None = None,
    data_range: float = 255.0,
    per_channel: bool = False,
) -> float:
    """Product over scales of contrast^w, with full SSIM at the coarsest; negative means count as zero.

    `last_border` is the border of the coarsest scale where it differs: torchmetrics since 1.5 crops the contrast
    maps (`valid`) but counts the reflected border of the coarsest SSIM map (`reflect`).

    Means are over pixels and channels (torchmetrics), or with `per_channel` over pixels only, the products then
    being averaged over the channels (pytorch-msssim).
    """
    pairs = [(p.astype(np.float64), q.astype(np.float64)) for p, q in zip(planes(a), planes(b), strict=True)]
    product = np.ones(len(pairs) if per_channel else 1)
    for level, weight in enumerate(weights):
        last = level == len(weights) - 1
        edge = last_border if last and last_border else border
        maps = [ssim_maps(p, q, gaussian_window(), edge, data_range) for p, q in pairs]
        means = np.array([(full if last else contrast).mean() for full, contrast in maps])
        means = means if per_channel else means.mean(keepdims=True)
        product = product * np.maximum(means, 0) ** weight
        pairs = [(halved(p), halved(q)) for p, q in pairs]
    return float(product.mean())


def psnr(a: Array, b: Array, data_range: float = 255.0) -> float:
    """10 log10(range^2 / mean squared error over all pixels and channels) in dB; infinite for equal images."""
    squares = [(float(x) - float(y)) ** 2 for x, y in zip(a.ravel(), b.ravel(), strict=True)]
    error = math.fsum(squares) / len(squares)
    return math.inf if error == 0 else 10 * math.log10(data_range**2 / error)


# ---------------------------------------------------------------- distributions of features
def moments(features: Array) -> tuple[Array, Array]:
    """Mean (d,) and covariance with n - 1 (d, d)."""
    n, d = features.shape
    mean = np.array([math.fsum(features[:, k]) / n for k in range(d)])
    covariance = np.zeros((d, d))
    for row in features:
        covariance += np.outer(row - mean, row - mean) / (n - 1)
    return mean, covariance


def frechet_distance(x: Array, y: Array) -> float:
    """|mu1 - mu2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)), the root by scipy's `sqrtm`."""
    (mean_x, cov_x), (mean_y, cov_y) = moments(x), moments(y)
    root = np.real(sqrtm(cov_x @ cov_y))
    return float(((mean_x - mean_y) ** 2).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * np.trace(root))


def cubic_kernel(a: Array, b: Array) -> float:
    """KID's kernel (a.b / d + 1)^3."""
    return (float(a @ b) / len(a) + 1) ** 3


def rbf_kernel(a: Array, b: Array, sigma: float = 10.0) -> float:
    """CMMD's kernel exp(-|a - b|^2 / (2 sigma^2))."""
    return math.exp(-float(((a - b) ** 2).sum()) / (2 * sigma**2))


def kid(x: Array, y: Array) -> float:
    """Full U-statistic of the squared MMD: i != j within a set, every pair across; may be negative. Raw scale."""
    m, n = len(x), len(y)
    within_x = math.fsum(cubic_kernel(x[i], x[j]) for i in range(m) for j in range(m) if i != j)
    within_y = math.fsum(cubic_kernel(y[i], y[j]) for i in range(n) for j in range(n) if i != j)
    across = math.fsum(cubic_kernel(a, b) for a in x for b in y)
    return within_x / (m * (m - 1)) + within_y / (n * (n - 1)) - 2 * across / (m * n)


def kid_subsets(x: Array, y: Array, subsets: Sequence[tuple[Sequence[int], Sequence[int]]]) -> tuple[float, float]:
    """Mean and standard deviation (over k, not k - 1) of `kid` on given index subsets of both sets."""
    values = [kid(x[list(i)], y[list(j)]) for i, j in subsets]
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))


def cmmd(x: Array, y: Array, sigma: float = 10.0, scale: float = 1000.0, unbiased: bool = False) -> float:
    """`scale` times the squared RBF MMD of L2-normalised CLIP vectors; V-statistic (diagonals counted) by default."""
    x, y = (np.array([row / math.sqrt(float(row @ row)) for row in z]) for z in (x, y))

    def within(z: Array) -> float:
        size = range(len(z))
        terms = [rbf_kernel(z[i], z[j], sigma) for i in size for j in size if not (unbiased and i == j)]
        return math.fsum(terms) / len(terms)

    across = math.fsum(rbf_kernel(a, b, sigma) for a in x for b in y) / (len(x) * len(y))
    return scale * (within(x) + within(y) - 2 * across)


def inception_score(probabilities: Array, splits: int = 1) -> tuple[float, float]:
    """Mean and standard deviation (over k) of exp(mean_x KL(p(y|x) || p(y))) over consecutive parts of (n, K)."""
    n, scores = len(probabilities), []
    for s in range(splits):
        part = probabilities[s * n // splits : (s + 1) * n // splits]
        marginal = [math.fsum(part[:, k]) / len(part) for k in range(part.shape[1])]
        divergences = [
            math.fsum(p * math.log(p / q) for p, q in zip(row, marginal, strict=True) if p > 0) for row in part
        ]
        scores.append(math.exp(math.fsum(divergences) / len(part)))
    mean = math.fsum(scores) / splits
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in scores) / splits)


def distance(a: Array, b: Array) -> float:
    """Euclidean distance of two vectors."""
    return math.sqrt(math.fsum((float(p) - float(q)) ** 2 for p, q in zip(a, b, strict=True)))


def radii(features: Array, k: int) -> list[float]:
    """Distance of each row to its k-th nearest other row."""
    size = range(len(features))
    return [sorted(distance(features[i], features[j]) for j in size if j != i)[k - 1] for i in size]


def prdc(real: Array, fake: Array, k: int = 5, closed: bool = False) -> dict[str, float]:
    """Precision, recall, density and coverage with balls of the k-th neighbour.

    The balls are open (`distance < radius`) as in the density-and-coverage paper's code; `closed` gives `<=`, as
    in the first precision-and-recall paper. Precision, density and coverage use the balls of the real rows.
    """

    def inside(value: float, radius: float) -> bool:
        return value <= radius if closed else value < radius

    real_radii, fake_radii = radii(real, k), radii(fake, k)
    hits = [[inside(distance(r, f), radius) for f in fake] for r, radius in zip(real, real_radii, strict=True)]
    back = [any(inside(distance(r, f), radius) for f, radius in zip(fake, fake_radii, strict=True)) for r in real]
    columns = range(len(fake))
    return {
        "precision": sum(any(row[j] for row in hits) for j in columns) / len(fake),
        "recall": sum(back) / len(real),
        "density": sum(row[j] for row in hits for j in columns) / (k * len(fake)),
        "coverage": sum(any(row) for row in hits) / len(real),
    }


# ---------------------------------------------------------------- Semantic Score
def semantic_score(prediction: Array, reference: Array, variant: str = "l2") -> float:
    """Mean over pairs of raw CLIP embeddings (n, d): `l2` |a - b|, `cosdist100` 100 (1 - cos), or `cos` (2.4)."""
    values = []
    for a, b in zip(prediction, reference, strict=True):
        cos = float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))
        values.append({"l2": distance(a, b), "cosdist100": 100 * (1 - cos), "cos": cos}[variant])
    return math.fsum(values) / len(values)
