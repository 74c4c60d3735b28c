"""Open a data set, whatever its layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from .._shared.errors import ConfigError, DataError
from ..protocol.schema import Setting
from .formats.dresscode import is_dresscode, open_dresscode
from .formats.manifest import NAMES, open_manifest
from .formats.mpv import LIST, open_mpv
from .formats.options import Options
from .formats.viton import SURVEY_VITON, VITON
from .formats.vitonhd import VITONHD
from .sample import Dataset

Format = Literal["auto", "vitonhd", "dresscode", "viton", "survey-viton", "mpv", "manifest"]

_OPENERS: dict[str, Callable[[Path, Options], Dataset]] = {
    "vitonhd": VITONHD.open,
    "dresscode": open_dresscode,
    "viton": VITON.open,
    "survey-viton": SURVEY_VITON.open,
    "mpv": open_mpv,
    "manifest": open_manifest,
}
FORMATS = tuple(_OPENERS)


def open_dataset(
    root: Path,
    fmt: str = "auto",
    setting: Setting = "paired",
    pairs: Path | None = None,
    *,
    split: str = "test",
    parse_scheme: str | None = None,
    folders: Mapping[str, str] | None = None,
) -> Dataset:
    """Open the pairs of a setting. Files of a row need not exist: the doctor names all that are missing.

    Args:
        root: the data set's folder, or a manifest.
        fmt: the layout, or "auto" to recognise it.
        setting: paired or unpaired.
        pairs: list to read instead of the published one.
        split: test or train.
        parse_scheme: label ids of the parses, where they are not the layout's.
        folders: role -> folder name, where it is none of the known ones.

    Raises:
        DataError: no such folder, unknown layout, no list, the list of the other setting, or a pair twice.
        ConfigError: an unknown format, role or scheme.
    """
    if not root.exists():
        raise DataError(f"{root.name}: no such data set; check the path")
    name = recognise(root) if fmt == "auto" else fmt
    if name not in _OPENERS:
        raise ConfigError(f"format {name!r} is unknown; choose one of auto, {', '.join(FORMATS)}")
    dataset = _OPENERS[name](root, Options(setting, pairs, split, parse_scheme, folders or {}))
    twice = [pair for pair, count in Counter(s.pair_id for s in dataset.samples).items() if count > 1]
    if twice:
        raise DataError(
            f"{dataset.pairs}: {len(twice)} pairs stand there twice, such as {twice[0]}; keep one of each"
        )
    return dataset


def recognise(root: Path) -> str:
    """Name of the layout.

    VITON and VITON-HD have the same folders; in VITON a photo `000001_0` shows the garment `000001_1`, in VITON-HD
    both have one name. The survey's processed VITON has VITON's names and VITON-HD's folders.

    Raises:
        DataError: none fits.
    """
    if root.is_file() or any((root / name).is_file() for name in NAMES):
        return "manifest"
    if is_dresscode(root):
        return "dresscode"
    if any(root.glob(LIST)):
        return "mpv"
    folder = next((root / name for name in ("test", "train") if (root / name).is_dir()), root)
    persons, garments = (
        _first_stems(folder, names) for names in (("image", "images"), ("cloth", "clothes", "color"))
    )
    if not persons or not garments:
        raise DataError(
            f"{root.name}: layout not recognised; expected one of {', '.join(FORMATS)}; name it with --format"
        )
    if not all(name.endswith("_0") for name in persons) or not all(name.endswith("_1") for name in garments):
        return "vitonhd"
    return "viton" if (folder / "pose").is_dir() or not _has_hd_folders(folder) else "survey-viton"


def _has_hd_folders(folder: Path) -> bool:
    names = (
        "openpose_json",
        "openpose-json",
        "image-densepose",
        "image-parse-v3",
        "segmentation",
        "agnostic-person",
    )
    return any((folder / name).is_dir() for name in names)


def _first_stems(folder: Path, names: tuple[str, ...]) -> list[str]:
    for name in names:
        if (folder / name).is_dir():
            return [path.stem for path in sorted((folder / name).iterdir())[:20] if not path.name.startswith(".")]
    return []
