"""Numbers become decimal text and come back, exactly."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.database import bulk
from sigma_bot.engine.types import OrderType, Reason
from sigma_bot.errors import SigmaError
from sigma_bot.results.result import FILL, ORDER
from sigma_bot.results.series import FILLS, ORDERS, Units, decimal_texts

UNITS = Units(2, ("A", "B"), (Decimal("0.001"), Decimal(10)))


@given(st.integers(-(2**80), 2**80), st.integers(-3, 18))
def test_decimal_text_is_the_integer_scaled(value: int, places: int) -> None:
    (text,) = decimal_texts([value], places)
    assert Decimal(text) * (Decimal(10) ** places) == value or len(str(value)) > 28
    assert Decimal(text).scaleb(places).as_integer_ratio() == (value, 1) or len(str(value)) > 28
    if places > 0:
        assert text == f"{Decimal(value).scaleb(-places):f}" or len(str(value)) > 28


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [(-105, 2, "-1.05"), (5, 3, "0.005"), (-5, 3, "-0.005"), (0, 2, "0.00"), (7, 0, "7"), (7, -2, "700")],
)
def test_decimal_text_of_small_numbers(value: int, places: int, text: str) -> None:
    assert decimal_texts([value], places) == [text]


def test_codes_are_written_as_words() -> None:
    orders = np.zeros(1, ORDER)
    orders["side"], orders["kind"], orders["reason"] = -1, 1, 7
    written = dict(zip(ORDERS.columns, ORDERS.write(orders, UNITS), strict=True))
    assert (written["side"], written["kind"], written["reason"]) == (
        ["sell"],
        [OrderType(1).text],
        [Reason(7).text],
    )
    assert (written["symbol"], written["status"], written["closed"]) == (["A"], ["open"], [None])


def test_quantities_use_the_lot_of_their_symbol() -> None:
    fills = np.zeros(2, FILL)
    fills["symbol"], fills["lots"], fills["side"], fills["position"] = [0, 1], [1500, 3], 1, [-1, 0]
    written = dict(zip(FILLS.columns, FILLS.write(fills, UNITS), strict=True))
    assert written["quantity"] == ["1.500", "30"]
    assert written["position"] == ["-0.001", "0"]


def test_minus_zero_is_zero_on_every_database() -> None:
    fills = np.zeros(1, FILL)
    fills["side"], fills["price"], fills["best"] = 1, -0.0, np.nan
    written = dict(zip(FILLS.columns, FILLS.write(fills, UNITS), strict=True))
    assert (written["price"], written["best"]) == (["0.0"], [None])


def _stored_fill(**changes: object) -> list[object]:
    row = dict.fromkeys(FILLS.columns, Decimal(0)) | {"symbol": "A", "side": "buy", "maker": True}
    return [(row | changes)[name] for name in FILLS.columns]


def test_a_row_reads_back() -> None:
    (fill,) = FILLS.read(
        [_stored_fill(quantity=Decimal("0.015"), notional=Decimal("-3.10"), best=None)], UNITS
    )
    assert (fill["lots"], fill["notional"], fill["maker"], fill["side"]) == (15, -310, 1, 1)
    assert np.isnan(fill["best"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"notional": Decimal("0.001")}, "more than 2 decimals"),
        ({"quantity": Decimal("15"), "symbol": "B"}, "not a whole number of lots of 10"),
        ({"side": "hold"}, "'hold' is not known to this version"),
        ({"symbol": "C"}, "'C' is not known"),
    ],
)
def test_damaged_rows_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SigmaError, match=words):
        FILLS.read([_stored_fill(**changes)], UNITS)


def test_copy_text_escapes_what_would_break_a_row() -> None:
    columns = [range(2), ["a\tb\\c\nd\re", None], [1, 0.5]]
    assert bulk._text(7, columns) == b"7\t0\ta\\tb\\\\c\\nd\\re\t1\n7\t1\t\\N\t0.5\n"


def test_text_that_looks_like_null_is_not_null() -> None:
    assert bulk._text(1, [["\\N", "None"]]) == b"1\t\\\\N\n1\tNone\n"
