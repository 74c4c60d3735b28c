"""Every layout by name: how it is recognised, and who opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .._shared.errors import ConfigError, DataError
from . import (
    acdc,
    acdc_raw,
    btcv,
    clinicdb,
    dicom,
    folders,
    isic,
    kvasir,
    nnunet,
    nuclei,
    synapse,
    totalsegmentator,
)
from .dataset import Dataset
from .labels import LabelMapName


@dataclass(frozen=True)
class LayoutKind:
    """`files`: what the folder holds, for messages and help; `open` takes (root, classes, label map)."""

    files: str
    recognises: Callable[[Path], bool]
    open: Callable[[Path, Mapping[int, str] | None, LabelMapName | None], Dataset]
    takes_classes: bool = False
    takes_map: bool = False


def _plain(opener: Callable[[Path], Dataset]) -> Callable[..., Dataset]:
    return lambda root, _classes, _map: opener(root)


# In the order in which "auto" asks; plain folders come last, because several layouts look like them.
LAYOUTS: Mapping[str, LayoutKind] = {
    "nnunet": LayoutKind("dataset.json, imagesTr/, labelsTr/", nnunet.recognises, _plain(nnunet.open_nnunet)),
    "synapse": LayoutKind(
        "train_npz/, test_vol_h5/",
        synapse.recognises,
        lambda root, _, label_map: synapse.open_synapse(root, label_map or "transunet"),
        takes_map=True,
    ),
    "acdc": LayoutKind("train/, valid/, test/ of .npz", acdc.recognises, _plain(acdc.open_acdc)),
    "acdc-raw": LayoutKind("patientXXX/", acdc_raw.recognises, _plain(acdc_raw.open_acdc_raw)),
    "btcv": LayoutKind(
        "img/, label/",
        btcv.recognises,
        lambda root, _, label_map: btcv.open_btcv(root, label_map or "btcv"),
        takes_map=True,
    ),
    "clinicdb": LayoutKind(
        "Original/, Ground Truth/, or images/, masks/ and test_train_data.csv",
        clinicdb.recognises,
        _plain(clinicdb.open_clinicdb),
    ),
    "isic2018": LayoutKind("ISIC2018_Task1*_GroundTruth/", isic.recognises, _plain(isic.open_isic)),
    "nuclei": LayoutKind("img2d.tif, mask2d.tif", nuclei.recognises, _plain(nuclei.open_nuclei)),
    "totalsegmentator-mr": LayoutKind(
        "example_mr_sm.nii.gz", totalsegmentator.recognises, _plain(totalsegmentator.open_totalsegmentator_mr)
    ),
    "dicom": LayoutKind("images/<case>/*.dcm, masks/<case>.nii.gz", dicom.recognises, _plain(dicom.open_dicom)),
    "kvasir": LayoutKind("images/, masks/, JPEG both", kvasir.recognises, _plain(kvasir.open_kvasir)),
    "folders": LayoutKind(
        "images/, masks/",
        folders.recognises,
        lambda root, classes, _: folders.open_folders(root, classes),
        takes_classes=True,
    ),
}


def open_layout(
    root: Path, layout: str, classes: Mapping[int, str] | None, label_map: LabelMapName | None
) -> Dataset:
    """Open a folder as one layout.

    Raises:
        DataError: not recognised, or its files do not fit the layout.
        ConfigError: an unknown layout, or an option that the layout has no use for.
    """
    if layout == "auto":
        layout = recognise(root)
    if layout not in LAYOUTS:
        raise ConfigError(f"layout {layout!r} is unknown; choose one of {', '.join(LAYOUTS)}")
    kind = LAYOUTS[layout]
    if classes is not None and not kind.takes_classes:
        raise ConfigError(
            f"data.classes is for plain folders; {layout} brings its own (nnU-Net raw: in dataset.json)"
        )
    if label_map is not None and not kind.takes_map:
        raise ConfigError(
            f"data.label_map {label_map} is for synapse and btcv; {layout} has one meaning of its labels"
        )
    return kind.open(root, classes, label_map)


def recognise(root: Path) -> str:
    """The layout of a folder.

    Raises:
        DataError: none fits; the message lists what was looked for.
    """
    for name, kind in LAYOUTS.items():
        if kind.recognises(root):
            return name
    wanted = "; ".join(f"{name}: {kind.files}" for name, kind in LAYOUTS.items())
    raise DataError(
        f"{root.name}: layout not recognised; expected dataset.json with imagesTr/ and labelsTr/ (nnU-Net raw), "
        f"images/ and masks/ with the same file names, or another of {wanted}"
    )
