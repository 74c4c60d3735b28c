"""Photos of drawn persons in drawn garments, with everything that an annotator would have to guess."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..data.labels import NAMES, Scheme
from ..tps import ThinPlateSpline, cut_out, dense_map, fit_tps
from .figures import Figure, Mask, body_parts, capsule
from .garments import Garment, real_photo

# where the garment's frame lies on the body: joints of its corners, and its own coordinates of these corners
_ANCHORS = {
    "upper_body": ((2, 5), (9, 12), (0.20, 0.80, 0.12, 0.90)),
    "lower_body": ((9, 12), (10, 13), (0.30, 0.70, 0.10, 0.94)),
    "dresses": ((2, 5), (10, 13), (0.26, 0.74, 0.08, 0.95)),
}
_GARMENT_NAME = {"upper_body": "upper clothes", "lower_body": "skirt", "dresses": "dress"}
# DensePose's part indices, front views
_DENSEPOSE = {
    **{"right leg": 12, "left leg": 11, "right shoe": 5, "left shoe": 6, "pants": 8, "torso skin": 2},
    **{"right arm": 16, "left arm": 15, "forearms": 19, "hair": 23, "face": 24},
}


@dataclass(frozen=True, eq=False)
class Scene:
    """A photo and its truth.

    Attributes:
        photo: (H, W, 3) uint8.
        names: (H, W) what each pixel shows, in the words of the label tables; "" is background.
        garment_mask: (H, W) the visible part of the garment.
        repaint: (H, W) what a try-on method may repaint: the garment and what lies around it.
        densepose: (H, W) uint8 part index.
        uv: (2, H, W) float32 in 0..1.
    """

    photo: NDArray[np.uint8]
    names: NDArray[np.str_]
    garment_mask: Mask
    repaint: Mask
    densepose: NDArray[np.uint8]
    uv: NDArray[np.float32]

    def parse(self, scheme: Scheme) -> NDArray[np.uint8]:
        """Label ids (H, W); a scheme without a word for the neck calls it face."""
        labels = np.zeros(self.names.shape, np.uint8)
        for name in np.unique(self.names[self.names != ""]):
            known = str(name) if str(name) in NAMES[scheme] else "face"
            labels[self.names == name] = NAMES[scheme].index(known)
        return labels


def draw_warp(figure: Figure, category: str, rng: np.random.Generator, jitter: float = 0.012) -> ThinPlateSpline:
    """The spline that takes a pixel of the photo to the garment's frame: 5 x 5 points around the body, jittered.

    Coordinates run over 0..1 of either image.
    """
    upper, lower, (left, right, top, bottom) = _ANCHORS[category]
    height, width = figure.size
    joints = figure.joints / [width, height]
    y0, y1 = joints[list(upper), 1].mean(), joints[list(lower), 1].mean()
    middle = joints[[*upper, *lower], 0].mean()
    shoulder = 0.115 * height / width  # half a width, a little more than the skeleton's
    x_per_u, y_per_v = 2 * shoulder / (right - left), (y1 - y0 + 0.06) / (bottom - top)
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 5), np.linspace(0, 1, 5)), axis=2).reshape(-1, 2)
    targets = np.stack(
        [middle + (grid[:, 0] - (left + right) / 2) * x_per_u, y0 - 0.02 + (grid[:, 1] - top) * y_per_v], axis=1
    )
    return fit_tps(targets + rng.normal(0, jitter, targets.shape), grid)


def draw_background(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float64]:
    """A slowly varying colour field with noise of sigma 2."""
    coarse = rng.uniform(90, 230, (3, 3, 3))
    rows, columns = (np.linspace(0, 2, n) for n in size)
    field = np.stack(
        [_bilinear_rows(coarse[..., c], rows, columns) for c in range(3)],
        axis=2,
    )
    return field + rng.normal(0, 2, field.shape)


def render(
    figure: Figure, garment: Garment, warp: ThinPlateSpline, background: NDArray[np.float64], category: str
) -> Scene:
    """Dress a figure: the garment covers the arms' upper halves, the forearms and the head cover the garment."""
    size, parts = figure.size, body_parts(figure)
    where = dense_map(warp, size)
    worn, cover = cut_out(garment.image, garment.mask, where)
    names = np.full(size, "", dtype="<U13")
    photo = background.copy()
    densepose = np.zeros(size, np.uint8)
    for name, mask in _layers(figure, parts, cover, category):
        names[mask] = "left arm" if name == "forearms" else name
        photo[mask] = worn[mask] if name == _GARMENT_NAME[category] else _colour(figure, name)
        densepose[mask & (name in _DENSEPOSE)] = _DENSEPOSE.get(name, 0)
    names[parts["right arm"] & (names == "left arm") & ~parts["left arm"]] = "right arm"
    visible = names == _GARMENT_NAME[category]
    _paste_face(photo, names == "face")
    shade = _shade(size, names != "")
    return Scene(
        (photo * shade[..., None]).round().clip(0, 255).astype(np.uint8),
        names,
        visible,
        _repaint(figure, visible, names, category),
        densepose,
        _uv(size),
    )


def _layers(figure: Figure, parts: dict[str, Mask], cover: Mask, category: str) -> list[tuple[str, Mask]]:
    """What is painted, from back to front."""
    hidden = {"hair", "face"} if category == "upper_body" else {"hair", "face", "pants"}  # bare legs below a skirt
    below = [(name, mask) for name, mask in parts.items() if name not in hidden]
    if category == "lower_body":
        below.append(("upper clothes", parts["torso skin"] & (np.indices(figure.size)[0] > figure.joints[1, 1])))
    return [
        *below,
        (_GARMENT_NAME[category], cover),
        ("forearms", _forearms(figure)),
        ("hair", parts["hair"]),
        ("face", parts["face"]),
    ]


def _forearms(figure: Figure) -> Mask:
    radius = 0.025 * figure.size[0]
    return capsule(figure.size, figure.joints[3], figure.joints[4], radius) | capsule(
        figure.size, figure.joints[6], figure.joints[7], radius
    )


def _colour(figure: Figure, name: str) -> NDArray[np.float64]:
    if name in ("pants", "upper clothes"):
        return figure.trousers
    if name == "hair":
        return figure.hair
    return figure.trousers * 0.5 if name.endswith("shoe") else figure.skin


def _paste_face(photo: NDArray[np.float64], face: Mask) -> None:
    """The face of the public-domain astronaut photograph: real texture where face metrics look."""
    if not face.any():
        return
    rows, columns = np.nonzero(face)
    top, left = rows.min(), columns.min()
    source = _face_photo()
    r = ((rows - top + 0.5) / (rows.max() - top + 1) * source.shape[0]).astype(int)
    c = ((columns - left + 0.5) / (columns.max() - left + 1) * source.shape[1]).astype(int)
    photo[rows, columns] = source[r, c]


@cache
def _face_photo() -> NDArray[np.uint8]:
    return real_photo("astronaut")[55:190, 170:280]


def _shade(size: tuple[int, int], body: Mask) -> NDArray[np.float64]:
    """Darker towards the outline of the body, and a light from the left."""
    depth = gaussian_filter(body.astype(float), 0.02 * size[0])
    light = np.linspace(1.03, 0.93, size[1])[None, :]
    return np.where(body, (0.72 + 0.3 * depth) * light, 1.0)


def _repaint(figure: Figure, visible: Mask, names: NDArray[np.str_], category: str) -> Mask:
    """The garment and, above the waist, the arms with a margin, but neither the head nor the shoes."""
    from ..metrics.regions import grown

    arms = np.isin(names, ["left arm", "right arm", "torso skin"]) & (category != "lower_body")
    margin = max(1, round(0.03 * figure.size[0]))
    kept = np.isin(names, ["face", "hair", "left shoe", "right shoe"])
    return np.asarray(grown(visible | arms, margin) & ~kept)


def _uv(size: tuple[int, int]) -> NDArray[np.float32]:
    rows, columns = np.indices(size, dtype=np.float32)
    return np.stack([columns / size[1], rows / size[0]])


def _bilinear_rows(
    coarse: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    knots = np.arange(coarse.shape[0])
    across = np.stack([np.interp(columns, knots, row) for row in coarse])
    return np.stack([np.interp(rows, knots, column) for column in across.T], axis=1)
