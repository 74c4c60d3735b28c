"""Checks that look into pixels: the original pasted around the garment, and results squeezed from a square."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from .._shared.io.images import read_image
from ..data.sample import Dataset, Sample, clothing_mask
from ..data.stored import stored
from ..jpeg import through_jpeg
from ..metrics.regions import shrunk
from .findings import Finding

_LOOKED_AT = 32  # results per method, evenly spread over the list
_PASTED = 0.95  # share of equal pixels outside; a result that was generated as a whole reaches a few per cent
_BLOCK = 16  # px, of JPEG with chroma subsampling
# Times the median of the spectrum. Measured on four synthetic photos: 0.6 to 2.1 where nothing was squeezed, 3.6 to 63
# for nearest, bilinear, bicubic and Lanczos squeezing; JPEG of quality 75 wipes it out, so its absence proves nothing.
_PEAK = 3.2


def check_pixels(name: str, dataset: Dataset, predictions: Mapping[str, Path]) -> Iterator[Finding]:
    """Both checks on up to 32 results that have the size of their photo; damaged ones are other checks' matter."""
    rows = [s for s in dataset.samples if s.pair_id in predictions and s.reference is not None]
    chosen = [
        rows[i] for i in sorted({round(x) for x in np.linspace(0, len(rows) - 1, min(_LOOKED_AT, len(rows)))})
    ]
    loaded = [pair for pair in (_load(sample, predictions[sample.pair_id]) for sample in chosen) if pair]
    yield from _pasted(name, loaded, predictions)
    yield from _squeezed(name, loaded)


class _Pair:
    """A result and its photo, of one size."""

    def __init__(self, sample: Sample, result: NDArray[np.uint8], photo: NDArray[np.uint8]) -> None:
        self.sample, self.result, self.photo = sample, result, photo


def _load(sample: Sample, path: Path) -> _Pair | None:
    try:
        result, photo = read_image(path).array, read_image(sample.reference or path).array
    except DataError:
        return None
    fits = result.shape == photo.shape and result.ndim == 3 and result.dtype == np.uint8
    return _Pair(sample, result, photo) if fits else None


def _pasted(name: str, pairs: Sequence[_Pair], predictions: Mapping[str, Path]) -> Iterator[Finding]:
    shares = []
    for pair in pairs:
        try:
            share = equal_outside(pair.result, pair.photo, clothing_mask(pair.sample), _quality(predictions, pair))
        except DataError:
            continue  # no region, or a damaged one: reported with the masks
        if not math.isnan(share):
            shares.append(share)
    pasted = sum(share >= _PASTED for share in shares)
    if pasted:
        yield Finding(
            "info",
            "pasted_background",
            f"{pasted} of {len(shares)} results looked at equal the photo outside of the clothing, pixel by pixel: the "
            "original was pasted back (repaint); compare such results with others of that kind only",
            None,
            name,
            tuple(pair.sample.pair_id for pair in pairs),
        )


def _quality(predictions: Mapping[str, Path], pair: _Pair) -> int | None:
    return stored(predictions[pair.sample.pair_id]).jpeg_quality


def equal_outside(
    result: NDArray[np.uint8], photo: NDArray[np.uint8], clothing: NDArray[np.bool_], quality: int | None
) -> float:
    """Share of pixels away from the clothing at which a result equals the photo.

    A pasted result that was stored as JPEG equals the photo after the same JPEG step, block by block, so that is what
    it is compared with.

    Args:
        result: (H, W, 3) uint8.
        photo: likewise.
        clothing: (H, W), True inside.
        quality: of the result's JPEG; None for lossless formats.

    Returns:
        The share; NaN where nothing lies far enough outside.
    """
    if clothing.shape != result.shape[:2]:
        return math.nan
    outside = shrunk(~clothing, 2 if quality is None else _BLOCK)
    if not outside.any():
        return math.nan
    forms = [photo] if quality is None else [through_jpeg(photo, quality, subsampling=s) for s in (0, 2)]
    return max(float((result == form).all(axis=2)[outside].mean()) for form in forms)


def _squeezed(name: str, pairs: Sequence[_Pair]) -> Iterator[Finding]:
    """Models that work on squares leave the beat of the squeezing in columns, not in rows; strong JPEG hides it."""
    if not pairs or len({pair.result.shape for pair in pairs}) > 1:
        return
    height, width = pairs[0].result.shape[:2]
    beat = square_beat(height, width)
    if beat is None:
        return
    results, photos = ([getattr(pair, side) for pair in pairs] for side in ("result", "photo"))
    across, down = beat_strength(results, beat, axis=1), beat_strength(results, beat, axis=0)
    own = beat_strength(photos, beat, axis=1)
    if across > _PEAK and across > 1.5 * max(down, own):
        yield Finding(
            "warning",
            "from_square",
            f"results of {width}x{height} px carry the beat of a picture that was {height} or a like number of pixels "
            f"wide (strength {across:.1f}, photos {own:.1f}): made as a square and squeezed; aspect and sharpness "
            "suffer, generate at the photo's shape",
            5,
            name,
            tuple(pair.sample.pair_id for pair in pairs),
        )


def square_beat(height: int, width: int) -> float | None:
    """Frequency, cycles per column, of the beat that squeezing a square into this frame leaves; None for squares.

    Resampling S columns into W repeats its weights with frequency S/W (modulo 1, folded). Squares of half, once and
    twice the height are looked for; in a 3:4 frame all three give 1/3.
    """
    beats = {round(_folded(factor * height / width), 4) for factor in (0.5, 1, 2)}
    beats = {beat for beat in beats if 0.05 < beat < 0.48}
    return min(beats) if len(beats) == 1 else None


def _folded(frequency: float) -> float:
    part = frequency % 1
    return min(part, 1 - part)


def beat_strength(images: Sequence[NDArray[np.uint8]], beat: float, axis: int) -> float:
    """How far a frequency stands out of the spectrum of the second differences' size along an axis.

    Interpolated pixels have smaller second differences the farther they lie from the samples they were made of, so
    their mean size over all rows of all images is periodic (Gallagher 2005). JPEG's own period of 8 is masked.

    Returns:
        Amplitude at `beat` over the median amplitude; about 1 where there is nothing.
    """
    sizes = []
    for image in images:
        grey = np.moveaxis(image.astype(np.float64).mean(axis=2), axis, 0)
        second = np.abs(grey[2:] - 2 * grey[1:-1] + grey[:-2])
        # what is strong is an edge of the picture, and that is what must not count
        sizes.append(np.minimum(second, np.median(second) * 3 + 1).mean(axis=1))
    profile = np.mean(sizes, axis=0)
    profile = (profile - _smooth(profile)) * np.hanning(len(profile))
    frequencies = np.linspace(0.05, 0.49, 4 * len(profile))
    waves = np.exp(-2j * np.pi * frequencies[:, None] * np.arange(len(profile)))
    spectrum = np.abs(waves @ profile)
    near_eighth = np.abs(frequencies * 8 - np.round(frequencies * 8)) < 16 / len(profile)
    at = np.abs(frequencies - beat) < 1.5 / len(profile)
    rest = spectrum[~at & ~near_eighth]
    return float(spectrum[at].max() / max(np.median(rest), 1e-12))


def _smooth(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    window = np.ones(9) / 9
    return np.convolve(np.pad(profile, 4, mode="edge"), window, mode="valid")
