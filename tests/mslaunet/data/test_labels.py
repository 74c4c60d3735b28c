"""Label maps: the same organ under the right number, whichever family the files come from."""

from __future__ import annotations

import numpy as np
import pytest

from mslaunet._shared.errors import DataError
from mslaunet.data.labels import LABEL_MAPS, apply_map, require_liver_largest

# Numbers of the challenge, written down from the specs.
BTCV = {"spleen": 1, "right kidney": 2, "left kidney": 3, "gallbladder": 4, "liver": 6, "stomach": 7, "aorta": 8}


@pytest.mark.parametrize("name", ["cascade", "btcv-to-transunet", "btcv"])
def test_each_organ_keeps_its_name_through_a_map(name: str) -> None:
    chosen = LABEL_MAPS[name]
    for organ, number in {**BTCV, "pancreas": 11}.items():
        assert chosen.classes[chosen.ids[number]] == organ


def test_the_map_of_cascade_is_the_one_of_its_code() -> None:
    found = apply_map(np.arange(14), LABEL_MAPS["cascade"].ids).tolist()
    assert found == [0, 1, 2, 3, 4, 0, 6, 7, 8, 0, 0, 5, 0, 0]  # {5, 9, 10, 12, 13 -> 0, 11 -> 5}


def test_the_classes_of_transunet_are_in_its_order() -> None:
    organs = ["aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach"]
    assert list(LABEL_MAPS["transunet"].classes.values()) == ["background", *organs]


def test_transunet_files_read_with_the_map_of_cascade_fail_loudly() -> None:
    """The liver (5) would silently become background."""
    real_ml = {1: 90.0, 2: 30.0, 3: 160.0, 4: 160.0, 5: 1500.0, 6: 80.0, 7: 200.0, 8: 350.0}
    mapped: dict[int, float] = {}
    for source, volume in real_ml.items():
        target = LABEL_MAPS["cascade"].ids[source]
        mapped[target] = mapped.get(target, 0) + volume
    with pytest.raises(
        DataError, match=r"larger than the liver .label 6.*the label map is not that of these files"
    ):
        require_liver_largest(mapped, LABEL_MAPS["cascade"].classes, "case0005")
    require_liver_largest(real_ml, LABEL_MAPS["transunet"].classes, "case0005")


def test_nothing_is_checked_without_a_liver_or_with_few_organs() -> None:
    require_liver_largest({1: 5.0, 2: 1.0, 3: 1.0}, {1: "a", 2: "b", 3: "c"}, "x")
    require_liver_largest({1: 50.0, 5: 1.0}, LABEL_MAPS["transunet"].classes, "x")
