"""Correlation attention (COAM): how much the feature of a position agrees with those of all others.

With a_i the feature vector (C,) of position i of N and v_j weights of positions (all 1 without a mask):

    coam_i = sum_j v_j k(a_i, a_j) / sum_j v_j

k(a, b) = <a, b> is the paper's reading (row means of the Gram matrix), for features after ReLU. For kernels with a
finite feature map the sum over j is taken first, so that the N x N matrix never exists; the others are streamed in
tiles of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from ._shared.errors import ConfigError, DataError

CoamKind = Literal["gram", "weighted", "cosine", "pearson", "energy", "masked", "rectified", "softmax", "topk"]
LINEAR = ("gram", "weighted", "cosine", "pearson", "energy", "masked")
_EPS = 1e-12
_TILE = 16_384  # positions that a map of half precision is converted in at once


def coam(
    features: Tensor,
    kind: CoamKind = "gram",
    *,
    weight: Tensor | None = None,
    mask: Tensor | None = None,
    exclude_self: bool = False,
    tile: int = 1024,
    top: int = 32,
) -> Tensor:
    """Correlation attention of every position; raw values, neither scaled to [0, 1] nor up-sampled.

    Kinds: `gram` <a, b>; `weighted` sum_c relu(w_c) a_c b_c; `cosine`; `pearson` (cosine of channel-centred vectors);
    `energy` <a, b>^2, all O(N C) but energy, O(N C^2); `masked` is gram that insists on a mask. Streamed, O(N^2 C) time
    and O(tile N) memory: `rectified` max(0, <a, b>); `softmax`: the share of attention softmax(<a_i, a_j> / sqrt(C))
    that position j receives, times N; `topk`: mean of the `top` largest <a_i, a_j>.

    `gram` equals CAM with the image's own pooled feature as class weights: coam_i = <a_i, mean_j a_j>. It is
    class-agnostic, so show it beside a probability only.

    Args:
        features: (B, C, *spatial), one or more spatial axes. float64 stays float64, lower types compute in float32.
        kind: pair score, see above.
        weight: (C,) or (B, C) class weights of `weighted`.
        mask: (B, *spatial) or (*spatial) bool or weights >= 0: which positions j count (i is any).
        exclude_self: leave out j = i (not for softmax and topk).
        tile: rows at once of the streamed kinds.
        top: how many pairs `topk` keeps.

    Returns:
        (B, *spatial) in the computing type.

    Raises:
        ConfigError: unknown kind, or one without what it needs.
        DataError: shapes that do not belong together, or an empty or negative mask.

    Example:
        >>> a = torch.rand(1, 4, 2, 3, dtype=torch.float64)
        >>> flat = a.flatten(2)[0]
        >>> bool(torch.allclose(coam(a).flatten(), (flat.T @ flat).mean(1)))
        True
    """
    _check(features, kind, weight, mask, exclude_self)
    shape = (features.shape[0], *features.shape[2:])  # not len(), which would fix the batch of an exported graph
    a = features.flatten(2)
    v = None if mask is None else _position_weights(mask, shape, _dtype(a)).flatten(1)
    with torch.autocast(features.device.type, enabled=False):
        if kind in ("rectified", "softmax", "topk"):
            result = _streamed(_precise(a), kind, v, tile, min(top, a.shape[2]), exclude_self)
        elif kind in ("cosine", "pearson"):
            result = _cosine(_precise(a), v, kind == "pearson", exclude_self)
        elif kind == "energy":
            result = _energy(_precise(a), v, exclude_self)
        else:
            result = _gram(a, v, weight if kind == "weighted" else None, exclude_self)
    return result.reshape(shape)


def cosine_contributions(
    features: Tensor, directions: Tensor, embedding_norm: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Additive parts of a cosine: kappa_i = <E^T w / |w|, p_i a_i> / |f|, whose sum over positions is the cosine.

    Exact for a pooled feature sum_i p_i a_i and a linear embedding f = E (sum_i p_i a_i); p_i = 1 / N for average
    pooling. Units are parts of a cosine, comparable between patients, unlike a map scaled to [0, 1].

    Args:
        features: (B, C, *spatial).
        directions: (T, C), see `CosineHead.directions`.
        embedding_norm: (B,) |f|.
        weights: (B, 1 or C, N) pooling weights p; None for average pooling.

    Returns:
        (B, T, *spatial), float32 or better.
    """
    a = _precise(features.flatten(2))
    weighted = a / a.shape[2] if weights is None else a * weights.to(a.dtype)
    parts = directions.to(a.dtype) @ weighted / embedding_norm.to(a.dtype).clamp(min=_EPS)[:, None, None]
    return parts.reshape(features.shape[0], len(directions), *features.shape[2:])


def _gram(a: Tensor, v: Tensor | None, weight: Tensor | None, exclude_self: bool) -> Tensor:
    """<a_i, g> with g the (weighted) mean feature; half precision is converted piece by piece."""
    pieces = a.split(_TILE if a.dtype not in (torch.float32, torch.float64) else a.shape[2], dim=2)
    if v is None:
        g = torch.stack([_precise(piece).sum(2) for piece in pieces]).sum(0) / a.shape[2]
    else:
        shares = (v / v.sum(1, keepdim=True)).split(pieces[0].shape[2], dim=1)
        pairs = zip(pieces, shares, strict=True)
        g = torch.stack([torch.einsum("bcn,bn->bc", _precise(piece), share) for piece, share in pairs]).sum(0)
    r = None if weight is None else weight.to(g).relu().expand_as(g)
    if r is not None:
        g = g * r
    result = torch.cat([(g[:, None] @ _precise(piece))[:, 0] for piece in pieces], 1)
    if exclude_self:
        own = a if r is None else a * r[..., None]
        result = result - _share(v, a) * (_precise(own) * _precise(a)).sum(1)
    return result


def _cosine(a: Tensor, v: Tensor | None, centred: bool, exclude_self: bool) -> Tensor:
    if centred:
        a = a - a.mean(1, keepdim=True)
    unit = a / a.norm(dim=1, keepdim=True).clamp(min=_EPS)
    return _gram(unit, v, None, exclude_self)


def _energy(a: Tensor, v: Tensor | None, exclude_self: bool) -> Tensor:
    """a_i^T S a_i with S = sum_j v_j a_j a_j^T / sum_j v_j, C x C."""
    scaled = a / a.shape[2] if v is None else a * (v / v.sum(1, keepdim=True))[:, None]
    s = scaled @ a.transpose(1, 2)
    result = torch.cat([((s @ piece) * piece).sum(1) for piece in a.split(_TILE, dim=2)], 1)
    if exclude_self:
        result = result - _share(v, a) * a.square().sum(1).square()
    return result


def _streamed(a: Tensor, kind: CoamKind, v: Tensor | None, tile: int, top: int, exclude_self: bool) -> Tensor:
    """The pair scores of `tile` rows at a time."""
    share = _share(v, a).expand(a.shape[0], a.shape[2])
    if kind == "softmax":
        received = torch.zeros_like(a[:, 0])
        for rows, weight in zip(a.split(tile, 2), share.split(tile, 1), strict=True):
            attention = (rows.transpose(1, 2) @ a / a.shape[1] ** 0.5).softmax(2)
            received = received + (weight[:, None] @ attention)[:, 0]
        return received * a.shape[2]
    score = _rectified(share) if kind == "rectified" else _largest(v, top)
    result = torch.cat([score(rows.transpose(1, 2) @ a) for rows in a.split(tile, 2)], 1)
    if exclude_self:
        result = result - share * a.square().sum(1)
    return result


def _rectified(share: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda scores: (scores.relu() @ share[..., None])[..., 0]


def _largest(v: Tensor | None, top: int) -> Callable[[Tensor], Tensor]:
    """Mean of the `top` largest scores of a row among positions with weight, fewer where there are fewer."""
    if v is None:
        return lambda scores: scores.topk(top, dim=2).values.mean(2)
    counted = v[:, None] > 0
    kept = counted.sum(2).clamp(max=top)

    def score(scores: Tensor) -> Tensor:
        best = scores.masked_fill(~counted, -torch.inf).topk(top, dim=2).values
        return best.masked_fill(best.isinf(), 0.0).sum(2) / kept

    return score


def _share(v: Tensor | None, a: Tensor) -> Tensor:
    """Weight (B or 1, N or 1) of each position in the mean."""
    return a.new_full((1, 1), 1 / a.shape[2], dtype=_dtype(a)) if v is None else v / v.sum(1, keepdim=True)


def _dtype(a: Tensor) -> torch.dtype:
    return torch.promote_types(a.dtype, torch.float32)


def _precise(a: Tensor) -> Tensor:
    return a.to(_dtype(a))


def _position_weights(mask: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if mask.shape not in (shape, shape[1:]):
        raise DataError(f"expected a mask of shape {shape} or {shape[1:]}, got {tuple(mask.shape)}")
    v = mask.to(dtype).expand(shape)
    if bool((v < 0).any()) or not bool((v.flatten(1).sum(1) > 0).all()):
        raise DataError("the mask must not be negative and must keep a position of every sample; it does not")
    return v


def _check(features: Tensor, kind: str, weight: Tensor | None, mask: Tensor | None, exclude_self: bool) -> None:
    if kind not in get_args(CoamKind):
        raise ConfigError(f"expected a kind among {', '.join(get_args(CoamKind))}, got {kind!r}")
    if features.ndim < 3 or not features.is_floating_point():
        raise DataError(f"expected floating-point features (B, C, *spatial), got {tuple(features.shape)}")
    if (kind == "weighted") != (weight is not None):
        raise ConfigError("class weights belong to kind 'weighted', which needs them: weight=(C,) or (B, C)")
    if weight is not None and weight.shape not in (features.shape[1:2], features.shape[:2]):
        raise DataError(f"expected weight of shape ({features.shape[1]},), got {tuple(weight.shape)}")
    if kind == "masked" and mask is None:
        raise ConfigError("kind 'masked' needs a mask")
    if exclude_self and kind in ("softmax", "topk"):
        raise ConfigError(f"exclude_self is not defined for kind {kind!r}")
