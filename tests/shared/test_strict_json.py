"""JSON that any parser reads."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quartet_shared.strict_json import to_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@settings(deadline=None)
@given(values)
def test_any_plain_value_gives_json_without_nan(value: object) -> None:
    json.loads(to_json(value), parse_constant=refuse)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_finite_numbers_survive_bit_for_bit(value: float) -> None:
    assert json.loads(to_json(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("inf")])
def test_values_that_json_cannot_say_become_null(value: float) -> None:
    assert to_json([value]) == "[null]"


def test_numpy_values_paths_and_sets_are_written_as_plain_ones() -> None:
    value = {"n": np.int64(3), "x": np.float32(0.5), "row": np.array([1.0, np.nan]), "p": Path("a/b"), "s": {2, 1}}
    assert to_json(value) == '{"n": 3, "x": 0.5, "row": [1.0, null], "p": "a/b", "s": [1, 2]}'


def test_other_kinds_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="got object"):
        to_json({"x": object()})
