"""What goes wrong in practice, one file each: for the doctor to find."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from .cast import Actor
from .files import write_text
from .layouts import write_vitonhd

LIST = "test_pairs_corrupted.txt"
KINDS = ("self_pair", "missing", "grey", "alpha", "sixteen_bit", "rotated", "truncated", "palette", "cmyk", "huge")


def write_corrupted(root: Path, actor: Actor, cases: int) -> None:
    """Add persons 90000 ff. whose photos are odd or damaged, and the list that pairs them with other garments.

    Person 9000k is the k-th of `KINDS`; the self pair keeps her own garment.
    """
    rows = []
    for index, kind in enumerate(KINDS):
        number = 90000 + index
        other = 1 + index % cases
        twin = Actor(number, actor.figure, actor.garment, actor.warp, actor.background, actor.category)
        scene = twin.photo()
        write_vitonhd(root, twin, scene)
        photo = root / "test" / "image" / f"{number}_00.jpg"
        name = _damage(photo, kind, scene.photo)
        garment = number if kind == "self_pair" else other
        rows.append(f"{name} {garment:05d}_00.jpg\n")
    write_text(root / LIST, "".join(rows))


def _damage(photo: Path, kind: str, pixels: np.ndarray) -> str:
    """Replace a photo by its odd form; its name, which has another suffix where JPEG cannot hold the form."""
    if kind == "missing":
        photo.unlink()
    elif kind == "truncated":
        whole = photo.read_bytes()
        photo.write_bytes(whole[: len(whole) // 2])
    elif kind == "huge":
        photo.unlink()
        photo = photo.with_suffix(".png")
        photo.write_bytes(_huge())
    elif kind != "self_pair":
        odd, suffix, options = _forms(pixels)[kind]
        photo.unlink()
        photo = photo.with_suffix(suffix)
        stream = io.BytesIO()
        odd.save(stream, format="JPEG" if suffix == ".jpg" else "PNG", **options)
        photo.write_bytes(stream.getvalue())
    return photo.name


def _forms(pixels: np.ndarray) -> dict[str, tuple[Image.Image, str, dict[str, object]]]:
    rgb = Image.fromarray(pixels)
    grey = np.asarray(rgb.convert("L"))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    alpha = Image.fromarray(np.concatenate([pixels, np.full_like(pixels[..., :1], 128)], axis=2))
    return {
        "grey": (rgb.convert("L"), ".jpg", {}),
        "alpha": (alpha, ".png", {}),
        "sixteen_bit": (Image.fromarray(grey.astype(np.uint16) * 257), ".png", {}),
        "rotated": (rgb, ".jpg", {"exif": exif}),
        "palette": (rgb.convert("P"), ".png", {}),
        "cmyk": (rgb.convert("CMYK"), ".jpg", {}),
    }


def _huge() -> bytes:
    """A PNG of a few kilobytes whose header promises 20,000 x 20,000 pixels."""
    stream = io.BytesIO()
    Image.new("1", (16, 16)).save(stream, format="PNG")
    small = stream.getvalue()
    header = bytearray(small)
    header[16:24] = (20_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    return bytes(header)
