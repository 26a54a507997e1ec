"""Documents in the store come back with their types, and stay plain JSON where JSON has the type."""

from __future__ import annotations

import json
import math
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.database import codec

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
)
KEYS = st.text() | st.sampled_from(["$decimal", "$float", "$tuple", "$dict", "$time", "$date"])
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def exact(value: Any) -> Any:
    """A value with the types of all its parts, since ``1 == 1.0 == True == Decimal(1)``."""
    if isinstance(value, (list, tuple)):
        return type(value), [exact(item) for item in value]
    if isinstance(value, dict):
        return dict, [(key, exact(item)) for key, item in value.items()]
    return type(value), str(value)


@given(DOCUMENTS)
def test_a_document_comes_back_as_it_was(document: Any) -> None:
    assert exact(codec.load(codec.dump(document))) == exact(document)


def test_nan_and_infinities_survive_as_valid_json() -> None:
    text = codec.dump({"a": math.nan, "b": math.inf, "c": -math.inf})
    json.loads(text, parse_constant=pytest.fail)
    back = codec.load(text)
    assert math.isnan(back["a"])
    assert (back["b"], back["c"]) == (math.inf, -math.inf)


def test_a_manifest_is_stored_as_it_reads() -> None:
    manifest = {
        "kind": "Backtest",
        "spec": {"account": {"cash": "10000"}, "markets": [{"symbol": "A"}], "n": 1.5},
    }
    assert json.loads(codec.dump(manifest)) == manifest


def test_numpy_scalars_and_paths_become_plain() -> None:
    assert codec.load(codec.dump([np.int64(5), np.float64(0.1), np.bool_(True), Path("a/b")])) == [
        5,
        0.1,
        True,
        "a/b",
    ]


@pytest.mark.parametrize("value", [object(), {1: "a"}, {"a": {1, 2}}, b"bytes"])
def test_what_has_no_exact_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot store"):
        codec.dump(value)


def test_a_decimal_keeps_its_zeros() -> None:
    assert str(codec.load(codec.dump(Decimal("1.500")))) == "1.500"
