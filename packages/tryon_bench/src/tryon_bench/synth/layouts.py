"""Where each layout wants the files of an actor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..data.densepose import part_colours
from ..data.labels import Scheme, labels_named
from .cast import Actor
from .files import (
    mask_image,
    write_dresscode_pose,
    write_jpeg,
    write_labels,
    write_openpose,
    write_openpose_18,
    write_png,
)
from .scenes import Scene

Writer = Callable[[Path, Actor, Scene], None]


def write_vitonhd(root: Path, actor: Actor, scene: Scene) -> None:
    """VITON-HD: one stem for photo and garment."""
    _write_hd(root / "test", f"{actor.number:05d}_00", f"{actor.number:05d}_00", actor, scene)


def write_survey_viton(root: Path, actor: Actor, scene: Scene) -> None:
    """The survey's processed VITON: VITON's names in VITON-HD's folders."""
    _write_hd(root / "test", f"{actor.number:06d}_0", f"{actor.number:06d}_1", actor, scene)


def write_viton(root: Path, actor: Actor, scene: Scene) -> None:
    """VITON as CP-VTON lays it out."""
    person, garment = f"{actor.number:06d}_0", f"{actor.number:06d}_1"
    folder = root / "test"
    write_jpeg(folder / "image" / f"{person}.jpg", scene.photo)
    write_jpeg(folder / "cloth" / f"{garment}.jpg", actor.garment.image)
    write_jpeg(folder / "cloth-mask" / f"{garment}.jpg", mask_image(actor.garment.mask), quality=75)
    write_labels(folder / "image-parse" / f"{person}.png", scene.parse("lip"))
    write_openpose_18(folder / "pose" / f"{person}_keypoints.json", actor.figure)


def write_dresscode(root: Path, actor: Actor, scene: Scene) -> None:
    """DressCode: the digit behind the number says what a file is."""
    folder, number = root / actor.category, f"{actor.number:06d}"
    write_jpeg(folder / "images" / f"{number}_0.jpg", scene.photo)
    write_jpeg(folder / "images" / f"{number}_1.jpg", actor.garment.image)
    write_dresscode_pose(folder / "keypoints" / f"{number}_2.json", actor.figure)
    write_png(folder / "label_maps" / f"{number}_4.png", scene.parse("atr"))
    write_png(folder / "dense" / f"{number}_5.png", scene.densepose)
    write_png(folder / "agnostic_masks" / f"{number}_0.png", mask_image(scene.repaint))
    np.savez_compressed(folder / "dense" / f"{number}_5_uv.npz", uv=scene.uv)


def write_mpv(root: Path, actor: Actor, scene: Scene) -> None:
    """MPV: one folder per item, the view in the name."""
    photo, garment = mpv_names(actor.number)
    write_jpeg(root / "MPV_192_256" / photo, scene.photo)
    write_jpeg(root / "MPV_192_256" / mpv_back(actor.number), scene.photo[:, ::-1].copy())
    write_jpeg(root / "MPV_192_256" / garment, actor.garment.image)
    write_labels((root / "all_parsing" / photo).with_suffix(".png"), scene.parse("lip"))
    write_openpose(root / "all_keypoints" / photo.replace(".jpg", "_keypoints.json"), actor.figure)


def write_manifest_files(root: Path, actor: Actor, scene: Scene) -> None:
    """The files that the manifest names; parses in LIP's ids, everything as PNG."""
    name = f"{actor.number:05d}.png"
    write_png(root / "persons" / name, scene.photo)
    write_png(root / "garments" / name, actor.garment.image)
    write_labels(root / "parses" / name, scene.parse("lip"))
    write_png(root / "agnostic_masks" / name, mask_image(scene.repaint))


def mpv_names(number: int) -> tuple[str, str]:
    """Photo and garment of an item, relative to the photos' folder."""
    item = f"item{number:04d}"
    return f"{item}/{item}=person_half_front.jpg", f"{item}/{item}=cloth_front.jpg"


def mpv_back(number: int) -> str:
    """The second pose of an item."""
    return mpv_names(number)[0].replace("half_front", "whole_back")


def _write_hd(folder: Path, person: str, garment: str, actor: Actor, scene: Scene) -> None:
    agnostic = np.where(scene.repaint[..., None], np.uint8(128), scene.photo)
    write_jpeg(folder / "image" / f"{person}.jpg", scene.photo)
    write_jpeg(folder / "cloth" / f"{garment}.jpg", actor.garment.image)
    write_jpeg(folder / "cloth-mask" / f"{garment}.jpg", mask_image(actor.garment.mask), quality=75)
    write_labels(folder / "image-parse-v3" / f"{person}.png", scene.parse("vitonhd"))
    write_labels(folder / "image-parse-agnostic-v3.2" / f"{person}.png", _without_top(scene.parse("vitonhd")))
    write_jpeg(folder / "agnostic-v3.2" / f"{person}.jpg", agnostic)
    write_png(folder / "agnostic-mask" / f"{person}_mask.png", mask_image(scene.repaint))
    write_jpeg(folder / "image-densepose" / f"{person}.jpg", part_colours(scene.densepose))
    write_openpose(folder / "openpose_json" / f"{person}_keypoints.json", actor.figure)


def _without_top(labels: np.ndarray, scheme: Scheme = "vitonhd") -> np.ndarray:
    gone = labels_named(scheme, "upper clothes", "dress", "coat", "torso skin", "left arm", "right arm")
    return np.where(np.isin(labels, list(gone)), np.uint8(0), labels)


WRITERS: dict[str, Writer] = {
    "vitonhd": write_vitonhd,
    "dresscode": write_dresscode,
    "viton": write_viton,
    "survey-viton": write_survey_viton,
    "mpv": write_mpv,
    "manifest": write_manifest_files,
}
