"""The supported formats: their loaders, the files they are recognised by, and one function that opens any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from .._shared.errors import ConfigError, DataError
from .chexpert import load_chexpert, load_chexpert_plus
from .covidx import load_covidx
from .generic import Columns, load_table
from .iuxray import load_iuxray
from .mimic import load_mimic
from .ms_cxr import load_ms_cxr
from .object_cxr import load_object_cxr
from .padchest_gr import load_padchest_gr
from .pairs import PairDataset
from .roco import load_roco
from .rsna import load_rsna
from .shards import load_shards
from .siim import load_siim
from .sources import TABLE_SUFFIXES, find_optional
from .vindr import load_vindr

Format = Literal[
    "mimic-cxr",
    "chexpert",
    "chexpert-plus",
    "rsna",
    "covidx",
    "siim",
    "object-cxr",
    "iu-xray",
    "roco",
    "padchest-gr",
    "ms-cxr",
    "vindr",
    "csv",
    "parquet",
    "jsonl",
    "webdataset",
]

# Format -> loader, and the files that no other format has.
_LOADERS: dict[str, tuple[Callable[..., PairDataset], tuple[str, ...]]] = {
    "mimic-cxr": (load_mimic, ("mimic-cxr-2*-metadata.csv*",)),
    "chexpert-plus": (load_chexpert_plus, ("df_chexpert_plus*.csv*", "chexpert_plus*.csv*")),
    "rsna": (load_rsna, ("stage_2_train_labels.csv*",)),
    "covidx": (load_covidx, ("train*COVIDx*.txt",)),
    "siim": (load_siim, ("train-rle.csv", "stage_2_train.csv")),
    "iu-xray": (load_iuxray, ("ecgen-radiology/*.xml", "annotation.json")),
    "roco": (load_roco, ("train/radiology/captions.txt", "train_captions.csv")),
    "padchest-gr": (load_padchest_gr, ("grounded_reports_*.json",)),
    "ms-cxr": (load_ms_cxr, ("MS_CXR_Local_Alignment*.csv",)),
    "vindr": (load_vindr, ("annotations_train.csv", "annotations/annotations_train.csv")),
    "object-cxr": (load_object_cxr, ("dev.csv",)),
    "chexpert": (load_chexpert, ("valid.csv*",)),
    "webdataset": (load_shards, ("*.tar",)),
}
TABLES = ("csv", "parquet", "jsonl")


def recognise(root: Path) -> Format:
    """The format of a folder or file, by its characteristic files.

    Raises:
        DataError: none fits.
    """
    if root.is_file():
        if root.suffix == ".tar":
            return "webdataset"
        if root.name.lower().endswith(TABLE_SUFFIXES):
            return "parquet" if root.suffix == ".parquet" else "jsonl" if root.suffix == ".jsonl" else "csv"
        raise DataError(f"{root.name}: expected a table ({', '.join(TABLE_SUFFIXES)}) or a .tar shard")
    if not root.is_dir():
        raise DataError(f"{root.name}: expected a data set, found none; check the path")
    for name, (_, patterns) in _LOADERS.items():
        if find_optional(root, *patterns) is not None:
            return name  # type: ignore[return-value]  # keys of _LOADERS are formats
    tables = [path for suffix in TABLE_SUFFIXES for path in root.glob(f"*{suffix}")]
    if len(tables) == 1:
        return recognise(tables[0])
    raise DataError(
        f"{root.name}: no known data set ({len(tables)} tables); name it with --format, or give the table itself: "
        f"{', '.join([*sorted(_LOADERS), *TABLES])}"
    )


def open_pairs(
    root: Path,
    format: Format | Literal["auto"] = "auto",  # noqa: A002  # the flag's name
    *,
    columns: Columns | None = None,
    reports: Path | None = None,
    images: Path | None = None,
    language: Literal["en", "es"] = "en",
) -> PairDataset:
    """Open a data set of any supported format.

    Args:
        root: its folder, or a table or shard.
        format: its format; "auto" recognises it.
        columns: of a table; guessed from usual names where None.
        reports: root of MIMIC-CXR's reports, where they are apart.
        images: root of MIMIC-CXR-JPG, for MS-CXR.
        language: of PadChest-GR's sentences.

    Raises:
        DataError: it is missing, damaged or not of that format.
        ConfigError: an option that this format does not have.
    """
    name = recognise(root) if format == "auto" else format
    extra = {"reports": reports, "images": images, "columns": columns}
    for option, owners in (("reports", ("mimic-cxr",)), ("images", ("ms-cxr",)), ("columns", TABLES)):
        if extra[option] is not None and name not in owners:
            raise ConfigError(f"{option}: {name} has no such option; it is for {', '.join(owners)}")
    if language != "en" and name != "padchest-gr":
        raise ConfigError(f"language: {name} has no such option; it is for padchest-gr")
    options: dict[str, Any] = {}
    if name in TABLES:
        return load_table(root, columns)
    if name == "mimic-cxr":
        options["reports"] = reports
    if name == "ms-cxr":
        options["images"] = images
    if name == "padchest-gr":
        options["language"] = language
    return _LOADERS[name][0](root, **options)
