"""The comparison itself: equal traces are equal, and whatever is changed is found and named."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.model.orders import FillRow, OrderRow, State
from sigma_bot.parity.compare import Circumstances, FillLine, OrderLine, Trace, batches, compare, trace_of

SECOND = 10**9


def order(number: int, **changes: Any) -> OrderLine:
    line = OrderLine(
        id=number,
        created=number * SECOND,
        symbol="KRW-BTC",
        side="buy",
        order_type="limit",
        tif="gtc",
        quantity=Decimal("0.01"),
        limit=Decimal(60_000_000 + number),
        stop=None,
        state="filled",
        filled=Decimal("0.01"),
        ended=number * SECOND + 5,
    )
    return line._replace(**changes)


def fill(number: int, **changes: Any) -> FillLine:
    line = FillLine(
        ts=number * SECOND + 5,
        order=number,
        symbol="KRW-BTC",
        side="buy",
        price=Decimal(60_000_000 + number),
        quantity=Decimal("0.01"),
        notional=Decimal("600000"),
        fee=Decimal("300.0001"),
        realized=Decimal(0),
        maker=True,
    )
    return line._replace(**changes)


def trace(n: int) -> Trace:
    return Trace(tuple(order(i) for i in range(1, n + 1)), tuple(fill(i) for i in range(1, n + 1)))


OTHER = {
    "created": 7,
    "symbol": "KRW-ETH",
    "side": "sell",
    "order_type": "market",
    "tif": "ioc",
    "quantity": Decimal("0.010000000000000001"),
    "limit": None,
    "stop": Decimal(1),
    "state": "cancelled",
    "filled": Decimal("0.005"),
    "ended": 0,
    "ts": 7,
    "price": Decimal("60000000.5"),
    "notional": Decimal("600000.01"),
    "fee": Decimal("300"),
    "realized": Decimal("-0.01"),
    "maker": False,
}


@settings(max_examples=60)
@given(st.integers(0, 20))
def test_a_trace_equals_itself(n: int) -> None:
    assert compare(trace(n), trace(n)) is None


@settings(max_examples=150)
@given(st.data())
def test_one_changed_field_is_found_and_named(data: st.DataObject) -> None:
    one = trace(8)
    at = data.draw(st.integers(0, 7))
    kind = data.draw(st.sampled_from(["orders", "fills"]))
    lines = list(getattr(one, kind))
    name = data.draw(st.sampled_from([f for f in lines[at]._fields if f not in ("id", "order", "ts")]))
    lines[at] = lines[at]._replace(**{name: OTHER[name]})
    two = Trace(tuple(lines), one.fills) if kind == "orders" else Trace(one.orders, tuple(lines))
    found, back = compare(one, two), compare(two, one)
    assert found is not None
    assert back is not None
    assert found.fields == back.fields == (name,)
    assert found.what == kind[:-1]
    assert (found.left, found.right) == (back.right, back.left)
    assert name in found.told("SIM", "the backtest")


@settings(max_examples=100)
@given(st.sampled_from(["orders", "fills"]), st.integers(0, 7), st.booleans())
def test_a_missing_line_is_told_as_missing(kind: str, at: int, from_left: bool) -> None:
    whole = trace(8)
    lines = list(getattr(whole, kind))
    gone = lines.pop(at)
    less = Trace(tuple(lines), whole.fills) if kind == "orders" else Trace(whole.orders, tuple(lines))
    found = compare(less, whole) if from_left else compare(whole, less)
    assert found is not None
    assert (found.right if from_left else found.left) == gone
    assert (found.left if from_left else found.right) is None
    sides = ("the backtest", "SIM") if from_left else ("SIM", "the backtest")
    assert f"only in {sides[0]}, not in {sides[1]}" in found.told("SIM", "the backtest")


@settings(max_examples=60)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True))
def test_the_first_in_time_is_told(changed: list[int]) -> None:
    one = trace(10)
    lines = list(one.fills)
    for at in changed:
        lines[at] = lines[at]._replace(price=Decimal(1))
    found = compare(one, Trace(one.orders, tuple(lines)))
    assert found is not None
    assert found.left == one.fills[min(changed)]


def test_a_fill_comes_before_what_it_made_of_the_order() -> None:
    one = trace(3)
    two = Trace(
        (one.orders[0], order(2, filled=Decimal(0), state="cancelled", ended=90 * SECOND), one.orders[2]),
        (one.fills[0], one.fills[2]),
    )
    found = compare(one, two)
    assert found is not None
    assert (found.what, found.left) == ("fill", fill(2))


def test_digits_beyond_a_float_count() -> None:
    one = trace(1)
    two = Trace(one.orders, (fill(1, fee=Decimal("300.00010000000000000001")),))
    assert compare(one, two) is not None
    assert compare(one, Trace(one.orders, (fill(1, fee=Decimal("300.000100")),))) is None


def test_words() -> None:
    two = Trace((order(1, limit=None, ended=0),), (fill(1),))
    found = compare(trace(1), two)
    assert found is not None
    assert found.told("SIM", "the backtest") == (
        "1970-01-01T00:00:01.000000000Z: order 1: limit 60000001 in SIM, none in the backtest; "
        "ended 1970-01-01T00:00:01.000000005Z in SIM, 0 in the backtest"
    )


def row(**changes: Any) -> OrderRow:
    values: dict[str, Any] = {
        "client_id": "sx-00000000-1-1-0",
        "order_id": 1,
        "attempt": 0,
        "symbol": "KRW-BTC",
        "side": "buy",
        "order_type": "limit",
        "tif": "gtc",
        "quantity": Decimal("0.01"),
        "limit_price": Decimal(60_000_001),
        "stop_price": None,
        "post_only": False,
        "reduce_only": False,
        "state": State.FILLED,
        "created": SECOND,
        "updated": SECOND + 5,
        "filled": Decimal("0.01"),
    }
    return OrderRow(**{**values, **changes})


def test_the_journal_s_rows_as_lines() -> None:
    executed = FillRow(
        "1:0.01", "sx-00000000-1-1-0", 1, "KRW-BTC", "buy", Decimal(60_000_001), Decimal("0.01"),
        Decimal("300.0001"), "KRW", True, SECOND + 5, Decimal("600000"),
    )  # fmt: skip
    assert trace_of([row()], [executed]) == trace(1)
    open_row = row(state=State.PARTIAL, filled=Decimal("0.004"))
    assert trace_of([open_row], []).orders[0].ended == 0
    market = row(order_type="market", limit_price=Decimal(5))
    assert trace_of([market], []).orders[0].limit is None
    assert [line.id for line in trace_of([row(order_id=2), row()], []).orders] == [1, 2]


@pytest.mark.parametrize(
    ("around", "said"),
    [
        (Circumstances(("a", "a"), ("m", "m")), ["please report it"]),
        (
            Circumstances(("abc", "def"), ("m", "m")),
            ["digest abc when it ran, def now"],
        ),
        (Circumstances(("a", "a"), ("m", "n")), ["the manifest is another one"]),
        (Circumstances(("a", "a"), ("m", "m"), ((5, 7), (9, 9))), ["lacks 4 batches of ticks (5 to 7, 9)"]),
        (Circumstances(("a", "a"), ("m", "m"), (), ((3, 3),)), ["did not get 1 batch of ticks (3)"]),
        (
            Circumstances(("a", "b"), ("m", "m"), ((1, 2),), (), (17,)),
            ["after tick 17", "the code is another", "lacks 2 batches"],
        ),
    ],
)
def test_causes(around: Circumstances, said: list[str]) -> None:
    causes = around.causes()
    assert len(causes) == len(said)
    for cause, words in zip(causes, said, strict=True):
        assert words in cause


def test_many_ranges_are_not_all_told() -> None:
    assert batches([(i, i) for i in range(0, 20, 2)]) == "10 batches of ticks (0, 2, 4 and 7 more stretches)"
