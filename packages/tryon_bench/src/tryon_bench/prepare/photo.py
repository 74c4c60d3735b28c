"""One photo with its parse and joints -> all the files that VITON-HD has of a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._shared.errors import DataError
from .._shared.io.images import read_image, read_mask
from ..agnostic import Agnostic, Recipe, draw_skeleton, make
from ..agnostic.recipes import gray_where
from ..data.densepose import part_colours, read_parts
from ..data.keypoints import read_keypoints
from ..data.relabel import in_vitonhd_ids
from ..engine.images import decode
from .files import OutputFolder
from .letterbox import Letterbox
from .plausible import shows_top
from .settings import Settings
from .sources import Item

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_SHAPE_TOLERANCE = 0.02  # of height over width: a parse may be smaller than its photo, but not cropped


@dataclass
class Notes:
    """How the files came about.

    Attributes:
        recipe: of the agnostic person.
        estimated: what MediaPipe gave, because the user had none.
        shows_top: whether the parse has an upper garment where the torso is; True without a parse.
    """

    recipe: Recipe
    estimated: list[str] = field(default_factory=list)
    shows_top: bool = True


def prepare_photo(item: Item, settings: Settings, out: OutputFolder) -> Notes:
    """Write the files of one photo.

    Raises:
        DataError: a damaged file, one of another shape than the photo, or a missing one that is not estimated.
    """
    notes = Notes(settings.recipe)
    photo = decode(item.files["image"])
    size = photo.shape[0], photo.shape[1]
    box = Letterbox(size, settings.size)
    parse = _parse(item, size, settings)
    outline = _outline(item, photo, size, settings, notes, needed=parse is None)
    joints = _joints(item, photo, size, outline, settings, notes)
    if parse is None:
        notes.recipe = "pose"
    canvas, pose = box.photo(photo, settings.padding), box.points(joints)
    labels = None if parse is None else box.labels(parse)
    agnostic = _without_padding(
        canvas,
        make(
            canvas, labels, pose, notes.recipe, densepose=_parts(item, size, box, notes),
            person_mask=None if outline is None else box.mask(outline),
        ),
        box,
    )  # fmt: skip
    notes.shows_top = labels is None or shows_top(labels, pose)
    stem = item.stem
    out.jpeg("image", f"{stem}.jpg", canvas)
    out.jpeg("agnostic-v3.2", f"{stem}.jpg", agnostic.image)
    out.mask("agnostic-mask", f"{stem}_mask.png", agnostic.repaint)
    out.keypoints("openpose_json", f"{stem}_keypoints.json", pose)
    out.png("openpose_img", f"{stem}_rendered.png", draw_skeleton(pose, settings.size))
    if labels is not None and agnostic.parse is not None:
        out.labels("image-parse-v3", f"{stem}.png", labels)
        out.labels("image-parse-agnostic-v3.2", f"{stem}.png", agnostic.parse)
    if outline is not None:
        out.mask("person-mask", f"{stem}.png", box.mask(outline))
    if "densepose" in item.files:
        out.jpeg("image-densepose", f"{stem}.jpg", _densepose(item, size, box))
    return notes


def _parse(item: Item, size: tuple[int, int], settings: Settings) -> NDArray[np.uint8] | None:
    path = item.files.get("parse")
    if path is None:
        if settings.estimate:
            return None
        raise DataError(
            f"{item.files['image'].name}: no parse (looked in {item.tried['parse']}); give one, or --estimate a mask "
            "from pose and outline"
        )
    labels = read_mask(path, binary=False).array
    _require_shape(path, labels.shape[:2], size)
    try:
        return in_vitonhd_ids(labels, settings.parse_scheme)
    except DataError as err:
        raise DataError(f"{path.name}: {err}") from err


def _outline(
    item: Item, photo: Image, size: tuple[int, int], settings: Settings, notes: Notes, *, needed: bool
) -> Mask | None:
    path = item.files.get("person_mask")
    if path is not None:
        mask = read_mask(path, binary=True).array.astype(bool)
        if mask.shape != size:
            raise DataError(f"{path.name}: {mask.shape}, the photo has {size} (H, W); they must be equal")
        return mask
    if not needed and "keypoints" in item.files:
        return None
    if not settings.estimate:
        return None
    from ..persons.estimate import person_mask

    notes.estimated.append("person mask")
    return person_mask(photo, item.files["image"].name)


def _joints(
    item: Item, photo: Image, size: tuple[int, int], outline: Mask | None, settings: Settings, notes: Notes
) -> NDArray[np.float64]:
    path = item.files.get("keypoints")
    if path is not None:
        joints = read_keypoints(path, size)
        if np.isnan(joints[:, 0]).all():
            raise DataError(
                f"{path.name}: all joints of the first person are missing; give others, or --estimate them"
            )
        inside = ((joints[:, :2] >= 0) & (joints[:, :2] < [size[1], size[0]])).all(axis=1)
        if not inside.any():
            raise DataError(
                f"{path.name}: no joint lies in the photo ({size[1]} x {size[0]}); are they of another size?"
            )
        return joints
    if not settings.estimate:
        raise DataError(
            f"{item.files['image'].name}: no keypoints (looked in {item.tried['keypoints']}); give OpenPose's JSON, or "
            "--estimate them"
        )
    from ..persons.estimate import estimate_pose

    notes.estimated.append("keypoints")
    return estimate_pose(photo, outline, settings.pose_model, item.files["image"].name).coco18(size)


def _parts(item: Item, size: tuple[int, int], box: Letterbox, notes: Notes) -> NDArray[np.uint8] | None:
    """Part indices, which one recipe reads."""
    if notes.recipe != "catvton" or "densepose" not in item.files:
        return None
    parts = read_parts(item.files["densepose"])
    _require_shape(item.files["densepose"], parts.shape, size)
    return box.labels(parts)


def _densepose(item: Item, size: tuple[int, int], box: Letterbox) -> Image:
    """The user's picture as it is, or part indices in colours."""
    path = item.files["densepose"]
    array = read_image(path, alpha="drop").array
    picture = part_colours(read_parts(path)) if array.ndim == 2 else array
    _require_shape(path, picture.shape[:2], size)
    return box.labels(picture)


def _without_padding(canvas: Image, agnostic: Agnostic, box: Letterbox) -> Agnostic:
    """Nothing is repainted where there is no photo."""
    repaint = agnostic.repaint & box.inside()
    return agnostic._replace(image=gray_where(canvas, repaint), repaint=repaint)


def _require_shape(path: Path, found: tuple[int, ...], size: tuple[int, int]) -> None:
    ratio = found[0] / found[1] / (size[0] / size[1])
    if abs(ratio - 1) > _SHAPE_TOLERANCE:
        raise DataError(
            f"{path.name}: {found[1]} x {found[0]} px, its photo has {size[1]} x {size[0]}; expected the same shape"
        )
