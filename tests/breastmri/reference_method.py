"""Cosine margin loss, correlation attention and their statistics in plain loops: the parity reference.

Written from the written specification alone (sections 1.2 to 1.6 of the breast MRI spec), without reading
`packages/breastmri`, so that an agreement of the two means something. Everything is float64, pairs are explicit
double loops, and no deep-learning library is involved.

Symbols as there: C channels, N positions, A (C, N) with column a_i, g the mean column, y a label, t = 2y - 1,
c a cosine, s the scale, m the margin.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
NEIGHBOURS = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if (i, j, k) != (0, 0, 0)]


def dot(a: Array, b: Array) -> float:
    """Inner product of two vectors (D,)."""
    return math.fsum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def length(a: Array) -> float:
    """Euclidean norm of a vector (D,)."""
    return math.sqrt(dot(a, a))


def sigma(z: float) -> float:
    """Logistic function without overflow; `1 - sigma(z)` is `sigma(-z)`."""
    return 1.0 / (1.0 + math.exp(-z)) if z >= 0 else math.exp(z) / (1.0 + math.exp(z))


# ---------------------------------------------------------------- cosine head and loss (1.2 to 1.4)
def cosine_head(features: Array, weight: Array, embedding: Array | None = None, eps: float = 1e-6) -> Array:
    """Cosines of pooled features (B, C) with one weight vector per task (T, D): (B, T).

    `embedding` (D, C) is E without bias; without it D = C.
    """
    out = np.empty((len(features), len(weight)))
    for b, feature in enumerate(features):
        f = feature if embedding is None else np.array([dot(row, feature) for row in embedding])
        for t, w in enumerate(weight):
            out[b, t] = dot(f, w) / (max(length(f), eps) * max(length(w), eps))
    return out


def cmsl_term(c: float, y: float, s: float, m_pos: float, m_neg: float, pos_weight: float = 1.0) -> float:
    """-[y log sigma(s(c - m_pos)) + (1 - y) log(1 - sigma(s(c + m_neg)))]; soft labels mix the branches."""
    positive = -math.log(sigma(s * (c - m_pos))) if y > 0 else 0.0
    negative = -math.log(sigma(-s * (c + m_neg))) if y < 1 else 0.0
    return pos_weight * y * positive + (1 - y) * negative


def cmsl(
    cosines: Array,
    labels: Array,
    s: float = 16.0,
    m_pos: float = 0.2,
    m_neg: float | None = None,
    pos_weight: float = 1.0,
    ignore_index: float = -1,
) -> float:
    """Mean of `cmsl_term` over the entries of (B, T) whose label is not `ignore_index`; NaN without any."""
    m_neg = m_pos if m_neg is None else m_neg
    pairs = [(float(c), float(y)) for c, y in zip(np.ravel(cosines), np.ravel(labels), strict=True)]
    terms = [cmsl_term(c, y, s, m_pos, m_neg, pos_weight) for c, y in pairs if y != ignore_index]
    return math.fsum(terms) / len(terms) if terms else math.nan


def cmsl_gradients(f: Array, w: Array, label: int, s: float, m: float) -> tuple[float, Array, Array]:
    """Closed form of 1.4.1 for one case: dL/dc, dL/df (D,), dL/dw (D,)."""
    u, v = w / length(w), f / length(f)
    c, t = dot(u, v), 2 * label - 1
    slope = -t * s * sigma(-s * (t * c - m))
    return slope, slope * (u - c * v) / length(f), slope * (v - c * u) / length(w)


def margin_sigmoid_term(
    c: float,
    y: int,
    s: float,
    m_pos: float,
    m_neg: float,
    bias: float = 0.0,
    power: float = 1.0,
    pos_lambda: float = 0.5,
) -> float:
    """The family of 1.4.8 (iii): lambda-weighted BCE of `s(g(c) -+ m) + b`.

    `g(c) = 2((c + 1) / 2)^power - 1`, and the two branches weigh 2 lambda and 2 (1 - lambda), so that the defaults
    are the paper's loss and not half of it; the specification leaves both open.
    """
    g = 2 * ((c + 1) / 2) ** power - 1
    if y == 1:
        return -2 * pos_lambda * math.log(sigma(s * (g - m_pos) + bias))
    return -2 * (1 - pos_lambda) * math.log(sigma(-(s * (g + m_neg) + bias)))


def smallest_scale(posterior: float, m: float) -> float:
    """Scale bound of 1.4.3: below it the posterior cannot be reached at t*c = 1."""
    return math.log(posterior / (1 - posterior)) / (1 - m)


# ---------------------------------------------------------------- correlation attention (1.5)
def centred(a: Array) -> Array:
    """One feature vector minus its mean over the channels."""
    return a - math.fsum(a) / len(a)


def normalised_dot(a: Array, b: Array, eps: float = 1e-12) -> float:
    """Cosine of two vectors; zero when either of them is (nearly) zero."""
    norms = length(a) * length(b)
    return dot(a, b) / norms if norms > eps else 0.0


def pair_score(kind: str, class_weight: Array | None = None) -> Callable[[Array, Array], float]:
    """Score of two columns for `gram`, `weighted`, `cosine`, `pearson` or `energy`."""
    if kind == "gram":
        return dot
    if kind == "weighted":
        r = np.array([max(0.0, float(x)) for x in class_weight])
        return lambda a, b: dot(r * a, b)
    if kind == "cosine":
        return normalised_dot
    if kind == "pearson":
        return lambda a, b: normalised_dot(centred(a), centred(b))
    if kind == "energy":
        return lambda a, b: dot(a, b) ** 2
    raise ValueError(f"unknown kind {kind!r}")


def score_matrix(columns: Array, kind: str = "gram", class_weight: Array | None = None) -> Array:
    """All pair scores of A (C, N): (N, N)."""
    score, count = pair_score(kind, class_weight), columns.shape[1]
    return np.array([[score(columns[:, i], columns[:, j]) for j in range(count)] for i in range(count)])


def coam(
    columns: Array,
    kind: str = "gram",
    class_weight: Array | None = None,
    mask: Array | None = None,
    exclude_self: bool = False,
    rectified: bool = False,
) -> Array:
    """`sum_j v_j k(a_i, a_j)` of A (C, N), already after ReLU: the raw map (N,).

    `mask` (N,) of non-negative weights gives v = mask / sum(mask), otherwise v = 1 / N. `exclude_self` drops the
    term j = i without changing the denominator (the specification subtracts |a_i|^2 / N); `rectified` sums
    max(0, k).
    """
    scores, count = score_matrix(columns, kind, class_weight), columns.shape[1]
    v = np.full(count, 1.0 / count) if mask is None else mask / math.fsum(mask)
    out = np.empty(count)
    for i in range(count):
        row = [max(0.0, scores[i, j]) if rectified else scores[i, j] for j in range(count)]
        out[i] = math.fsum(v[j] * row[j] for j in range(count) if not (exclude_self and j == i))
    return out


def coam_topk(columns: Array, k: int, kind: str = "gram", exclude_self: bool = False) -> Array:
    """Mean of the k greatest scores of each row: (N,)."""
    scores, count = score_matrix(columns, kind), columns.shape[1]
    rows = [[scores[i, j] for j in range(count) if not (exclude_self and j == i)] for i in range(count)]
    return np.array([math.fsum(sorted(row, reverse=True)[:k]) / k for row in rows])


def softmax_rows(
    columns: Array, kind: str = "gram", temperature: float = 1.0, exclude_self: bool = False
) -> Array:
    """Row softmax of the scores: P (N, N), every row sums to one."""
    scores, count = score_matrix(columns, kind) / temperature, columns.shape[1]
    out = np.zeros((count, count))
    for i in range(count):
        others = [j for j in range(count) if not (exclude_self and j == i)]
        top = max(scores[i, j] for j in others)
        total = math.fsum(math.exp(scores[i, j] - top) for j in others)
        for j in others:
            out[i, j] = math.exp(scores[i, j] - top) / total
    return out


def coam_softmax(
    columns: Array, kind: str = "gram", temperature: float = 1.0, exclude_self: bool = False
) -> Array:
    """Softmax-weighted mean of each row's scores, `sum_j P_ij k_ij`: (N,)."""
    share, scores = softmax_rows(columns, kind, temperature, exclude_self), score_matrix(columns, kind)
    size = range(len(scores))
    return np.array([math.fsum(share[i, j] * scores[i, j] for j in size) for i in size])


def coam_softmax_received(
    columns: Array, kind: str = "gram", temperature: float = 1.0, exclude_self: bool = False
) -> Array:
    """Attention that position j receives, `mean_i P_ij`: (N,); the other reading, as row means are constant."""
    share = softmax_rows(columns, kind, temperature, exclude_self)
    size = range(len(share))
    return np.array([math.fsum(share[i, j] for i in size) / len(share) for j in size])


def min_max(values: Array) -> Array:
    """Map to [0, 1]; a flat map becomes zero everywhere."""
    low, high = float(values.min()), float(values.max())
    return np.array([(x - low) / (high - low) if high > low else 0.0 for x in values.ravel()]).reshape(
        values.shape
    )


def attribution(columns: Array, weight: Array, embedding: Array | None = None) -> Array:
    """kappa_i = <w / |w|, E a_i> / (N |E g|) of A (C, N), w (D,), E (D, C): (N,), sums to the cosine."""
    count = columns.shape[1]
    embed = np.eye(len(columns)) if embedding is None else embedding
    pooled = np.array([math.fsum(row) / count for row in columns])
    norm = length(np.array([dot(row, pooled) for row in embed]))
    return np.array(
        [
            dot(weight, np.array([dot(row, columns[:, i]) for row in embed])) / (length(weight) * count * norm)
            for i in range(count)
        ]
    )


# ---------------------------------------------------------------- from map to centre (1.6)
def half_max_centroid(
    volume: Array, affine: Array | None = None, fraction: float = 0.5
) -> tuple[float, float, float] | None:
    """Centre of the 26-connected part above half of the maximum (after subtracting the minimum) of (X, Y, Z).

    Voxel indices, or millimetres through `affine` (4, 4). A flat map has no centre: None. The first maximum in
    C order is the seed.
    """
    raised = volume - volume.min()
    if raised.max() == 0:
        return None
    seed = tuple(int(i) for i in np.unravel_index(int(raised.argmax()), raised.shape))
    bar, seen, stack = fraction * float(raised.max()), {seed}, [seed]
    while stack:
        cell = stack.pop()
        for step in NEIGHBOURS:
            other = tuple(a + b for a, b in zip(cell, step, strict=True))
            inside = all(0 <= a < size for a, size in zip(other, raised.shape, strict=True))
            if inside and other not in seen and raised[other] >= bar:
                seen.add(other)
                stack.append(other)
    total = math.fsum(raised[cell] for cell in seen)
    centre = [math.fsum(raised[cell] * cell[axis] for cell in seen) / total for axis in range(3)]
    if affine is not None:
        centre = [dot(affine[row, :3], np.array(centre)) + float(affine[row, 3]) for row in range(3)]
    return centre[0], centre[1], centre[2]


def receptive_field(layers: Sequence[tuple[int, int, int]]) -> tuple[float, int]:
    """Input position of cell 0 and distance of two cells for layers (kernel, stride, padding), one axis."""
    start, jump = 0.0, 1
    for kernel, stride, padding in layers:
        start += ((kernel - 1) / 2 - padding) * jump
        jump *= stride
    return start, jump


# ---------------------------------------------------------------- DeLong
def kernel(positive: float, negative: float) -> float:
    """1 when the positive scores higher, 1/2 for a tie, 0 otherwise."""
    return 1.0 if positive > negative else 0.5 if positive == negative else 0.0


def auc(labels: Array, scores: Array) -> float:
    """Share of (positive, negative) pairs in the right order."""
    by_case, _ = components(labels, scores)
    return math.fsum(by_case) / len(by_case)


def components(labels: Array, scores: Array) -> tuple[list[float], list[float]]:
    """Structural components: per positive its mean over negatives, per negative its mean over positives."""
    positives = [float(x) for x, y in zip(scores, labels, strict=True) if y == 1]
    negatives = [float(x) for x, y in zip(scores, labels, strict=True) if y == 0]
    by_case = [math.fsum(kernel(p, n) for n in negatives) / len(negatives) for p in positives]
    by_control = [math.fsum(kernel(p, n) for p in positives) / len(positives) for n in negatives]
    return by_case, by_control


def covariance(a: Sequence[float], b: Sequence[float]) -> float:
    """Sample covariance with n - 1."""
    mean_a, mean_b = math.fsum(a) / len(a), math.fsum(b) / len(b)
    return math.fsum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)) / (len(a) - 1)


def delong_covariance(labels: Array, first: Array, second: Array) -> float:
    """Covariance of the AUCs of two scores on the same cases; of one with itself it is the variance."""
    (case_a, control_a), (case_b, control_b) = components(labels, first), components(labels, second)
    return covariance(case_a, case_b) / len(case_a) + covariance(control_a, control_b) / len(control_a)


def delong_variance(labels: Array, scores: Array) -> float:
    """DeLong's variance of one AUC."""
    return delong_covariance(labels, scores, scores)


def delong_paired(labels: Array, first: Array, second: Array) -> tuple[float, float, float]:
    """Difference of two AUCs, its standard error, and the two-sided p of their normal quotient."""
    difference = auc(labels, first) - auc(labels, second)
    variance = (
        delong_variance(labels, first)
        + delong_variance(labels, second)
        - 2 * delong_covariance(labels, first, second)
    )
    error = math.sqrt(variance)
    return difference, error, math.erfc(abs(difference) / error / math.sqrt(2))
