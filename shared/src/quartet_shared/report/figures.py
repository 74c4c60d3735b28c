"""Pictures for reports: masks over images, and curves."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Colours of Okabe and Ito (2008), told apart with every common colour blindness; further classes repeat them.
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")

# Lines also differ in their dashes; yellow is left out, because it vanishes on white.
_LINES = (
    ("#0072B2", "-"),
    ("#D55E00", "--"),
    ("#009E73", "-."),
    ("#CC79A7", ":"),
    ("#E69F00", "-"),
    ("#56B4E9", "--"),
)
_INK = "#123456"  # a colour nobody else uses, replaced by the reader's text colour


def overlay_rgb(
    image: NDArray[np.floating], mask: NDArray[np.integer], *, alpha: float = 0.4, outline: bool = True
) -> NDArray[np.floating]:
    """Colour the classes of a mask over an image. Class 0 stays uncoloured, class k takes `PALETTE[k - 1]`.

    Args:
        image: (H, W) or (H, W, 3), in [0, 1]; values outside are clipped, NaN is black.
        mask: (H, W) class ids from 0 up.
        alpha: opacity of the areas, 0 to 1.
        outline: draw the border pixels of each area opaque.

    Returns:
        (H, W, 3) in [0, 1].

    Raises:
        DataError: shapes differ.
    """
    import numpy as np

    if image.shape[:2] != mask.shape:
        raise DataError(f"overlay: image is {image.shape[:2]} and mask is {mask.shape}; both must be (H, W)")
    rgb = np.broadcast_to(image[..., None] if image.ndim == 2 else image, (*mask.shape, 3))
    colours = np.array([tuple(bytes.fromhex(colour[1:])) for colour in PALETTE]) / 255
    painted = colours[(mask - 1) % len(PALETTE)]
    weight = np.where(mask > 0, np.where(_border(mask) & outline, 1.0, alpha), 0.0)[..., None]
    return np.clip(np.nan_to_num(rgb), 0, 1) * (1 - weight) + painted * weight


def overlay_png(
    image: NDArray[np.floating],
    mask: NDArray[np.integer],
    *,
    num_classes: int,
    alpha: float = 0.4,
    outline: bool = True,
) -> bytes:
    """Draw `overlay_rgb` as a PNG file of the image's own size.

    Args:
        image: see `overlay_rgb`.
        mask: (H, W) class ids in [0, num_classes).
        num_classes: with background.
        alpha: see `overlay_rgb`.
        outline: see `overlay_rgb`.

    Raises:
        DataError: shapes differ, or the mask holds ids outside the classes.
    """
    import numpy as np
    from PIL import Image

    if mask.size and not 0 <= mask.min() <= mask.max() < num_classes:
        raise DataError(f"overlay: mask holds ids {mask.min()} to {mask.max()}, expected 0 to {num_classes - 1}")
    pixels = overlay_rgb(image, mask, alpha=alpha, outline=outline)
    out = io.BytesIO()
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(out, format="PNG")
    return out.getvalue()


def _border(mask: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels of a (H, W) mask with another class above, below, left or right of them."""
    import numpy as np

    padded = np.pad(mask, 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.any([centre != neighbour for neighbour in neighbours], axis=0)


@dataclass(frozen=True)
class Series:
    """A line of a chart; a NaN in `y` leaves a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def line_chart_svg(series: Sequence[Series], *, x_label: str, y_label: str) -> str:
    """Draw curves as SVG text: transparent, axes and letters in the reader's text colour, light or dark.

    Args:
        series: lines; colour and dashes tell them apart.
        x_label: name and unit of the horizontal axis.
        y_label: name and unit of the vertical axis.
    """

    def draw(axes: Any) -> None:
        for index, line in enumerate(series):
            colour, dashes = _LINES[index % len(_LINES)]
            axes.plot(line.x, line.y, color=colour, linestyle=dashes, linewidth=2, label=line.name)
        axes.set(xlabel=x_label, ylabel=y_label)
        if len(series) > 1:
            axes.legend(frameon=False)

    return svg_chart(draw, height=3.2)


def strip_chart_svg(groups: Mapping[str, Sequence[float]], *, x_label: str) -> str:
    """Draw the values of each group as dots on its own line with a bar at the mean, as SVG text.

    Args:
        groups: name to values; NaN values are left out, a group without values keeps its line.
        x_label: name and unit of the values.
    """

    def draw(axes: Any) -> None:
        for place, values in enumerate(groups.values()):
            known = [value for value in values if value == value]
            axes.scatter(known, [place] * len(known), color=_LINES[0][0], alpha=0.5, s=18, linewidths=0)
            if known:
                axes.plot(
                    [sum(known) / len(known)] * 2, [place - 0.3, place + 0.3], color=_LINES[1][0], linewidth=2
                )
        axes.set(xlabel=x_label, yticks=range(len(groups)), yticklabels=list(groups))
        axes.invert_yaxis()

    return svg_chart(draw, height=0.9 + 0.28 * len(groups))


def svg_chart(draw: Callable[[Any], None], *, height: float) -> str:
    """One pair of axes, drawn on by `draw`, as SVG text in the reader's colours.

    Args:
        draw: gets matplotlib's axes.
        height: of the figure, inches; it is 5.2 wide.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style = {
        "svg.fonttype": "none",  # letters stay letters: small, sharp, searchable
        "svg.hashsalt": "quartet",  # the same chart gives the same file
        "font.size": 11,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(5.2, height), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=_INK, alpha=0.15)
        out = io.StringIO()
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None})
    return _follow_theme(out.getvalue())


def _follow_theme(svg: str) -> str:
    """Let a chart inside `img` take light or dark letters; it cannot inherit the page's colour."""
    theme = "<style>svg{color:#1c2024}@media(prefers-color-scheme:dark){svg{color:#e4e7ea}}</style>"
    head, opening, body = svg.partition("<defs>")
    return head + theme + (opening + body).replace(_INK, "currentColor")
