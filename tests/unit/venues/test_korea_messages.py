"""Upbit's and Bithumb's answers and events: ccxt's examples, the pages' field lists, and hostile ones."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.venues.bithumb.private import DIALECT as BITHUMB
from sigma_bot.venues.fields import Fields, MalformedError, parse_json, rows
from sigma_bot.venues.korean import bands as rules
from sigma_bot.venues.korean import messages
from sigma_bot.venues.types import NewOrder, StreamBreak, VenueFill, VenueOrder
from sigma_bot.venues.upbit.private import DIALECT as UPBIT

D = Decimal


@pytest.fixture(scope="session")
def examples(shared_data: Path) -> dict[str, dict[str, list[object]]]:
    """{file: {function: [payload]}}, numbers as Decimals."""
    text = (shared_data / "protocol" / "ccxt_example_payloads.json").read_text()
    value = parse_json(text)
    assert isinstance(value, dict)
    return value["payloads"]


def fields(value: object) -> Fields:
    return Fields(value, "example")


def test_orders_of_upbit(examples: dict[str, dict[str, list[object]]]) -> None:
    upbit = examples["upbit.py"]
    order = messages.order(UPBIT, fields(upbit["create_order"][0]), "sx-1")
    assert (order.status, order.quantity, order.filled, order.limit) == ("open", D("0.01"), D(0), D(100))
    assert (order.client_id, order.symbol, order.side) == ("sx-1", "KRW-BTC", "buy")
    assert order.ts == 1523342543_000_000_000  # 15:42:23 in Seoul
    for name, status in (
        ("fetch_open_orders", "open"),
        ("fetch_closed_orders", "filled"),
        ("fetch_canceled_orders", "expired"),
    ):
        [order] = [messages.order(UPBIT, row) for row in rows(upbit[name][0], name)]
        assert (order.status, order.side, order.client_id) == (status, "sell", "")


def test_fills_of_upbit_share_the_orders_fee_exactly(examples: dict[str, dict[str, list[object]]]) -> None:
    answer = fields(examples["upbit.py"]["fetch_order"][0])
    order = messages.order(UPBIT, answer, "sx-1")
    fills = messages.fills(answer, order)
    assert [(f.price, f.quantity, f.fee_currency) for f in fills] == [
        (D(101000), D("0.77368323"), "KRW"),
        (D(101000), D("0.22631677"), "KRW"),
    ]
    # The page's own example: each trade's fee is stated too, and is what its share comes to.
    assert [f.fee for f in fills] == [D("117.213009345"), D("34.286990655")]
    assert sum(f.fee for f in fills) == D("151.5")
    answer = fields(examples["upbit.py"]["parse_order"][0])
    [fill] = messages.fills(answer, messages.order(UPBIT, answer))
    assert (fill.fee, fill.price) == (D("3.697095875"), D(1375))
    assert fill.ts == 1754725440_597751_000


def test_trades_that_are_not_all_there_are_not_believed(examples: dict[str, dict[str, list[object]]]) -> None:
    value = dict(examples["upbit.py"]["fetch_order"][0])  # type: ignore[call-overload]
    value["trades"] = value["trades"][:1]
    with pytest.raises(MalformedError, match="its trades are not"):
        messages.fills(fields(value), messages.order(UPBIT, fields(value)))


def test_orders_of_bithumb(examples: dict[str, dict[str, list[object]]]) -> None:
    bithumb = examples["bithumb.py"]
    sent = NewOrder("sx-1", "KRW-BTC", "buy", "limit", D("0.001"), D(9_500_000), "gtc", False, D(9_500_000))
    placed = messages.placed(BITHUMB, fields(bithumb["create_order"][0]), sent, D(9_500_000))
    assert (placed.venue_id, placed.client_id, placed.status) == ("C0101000003152350309", "sx-1", "open")
    assert (placed.quantity, placed.limit) == (D("0.001"), D(9_500_000))
    other = NewOrder("sx-1", "KRW-BTC", "sell", "limit", D("0.001"), D(9_500_000), "gtc", False, D(9_500_000))
    with pytest.raises(MalformedError):
        messages.placed(BITHUMB, fields(bithumb["create_order"][0]), other, None)
    answer = fields(bithumb["fetch_order"][1])
    order = messages.order(BITHUMB, answer)
    assert (order.status, order.quantity, order.limit) == ("open", D("0.001"), D(9_500_000))
    assert messages.fills(answer, order) == []
    assert messages.balance(next(rows(bithumb["fetch_balance"][0], "accounts"))).free == D(51026)


def test_a_market_of_upbit(examples: dict[str, dict[str, list[object]]]) -> None:
    chance = messages.chance(fields(examples["upbit.py"]["fetch_trading_fee"][0]), "KRW-BTC")
    assert (chance.base, chance.quote, chance.minimum, chance.active) == ("BTC", "KRW", D(5000), True)
    assert (chance.maker_fee, chance.taker_fee) == (D("0.0005"), D("0.0005"))
    with pytest.raises(MalformedError, match="instead of KRW-ETH"):
        messages.chance(fields(examples["upbit.py"]["fetch_trading_fee"][0]), "KRW-ETH")


# Made after the field list of docs.upbit.com/kr/reference/websocket-myorder.
TRADE = """{"type":"myOrder","code":"KRW-BTC","uuid":"ac2dc2a3-fce9-40a2-a4f6-5987c25c438f","ask_bid":"BID",
"order_type":"limit","state":"trade","trade_uuid":"68315169-fba4-4175-ade3-aff14a616657","price":100500000.0,
"avg_price":100500000.0,"volume":0.00400001,"remaining_volume":0.00599999,"executed_volume":0.00400001,
"trades_count":1,"reserved_fee":502.5,"remaining_fee":301.5,"paid_fee":334.98,"locked":603301.5,
"executed_funds":402001.005,"time_in_force":null,"trade_fee":201.0005025,"is_maker":true,"identifier":"sx-1",
"trade_timestamp":1710751597001,"order_timestamp":1710751590000,"timestamp":1710751597500,
"stream_type":"REALTIME"}"""


def told(text: str, **change: object) -> list[VenueOrder | VenueFill | StreamBreak]:
    value = parse_json(text)
    assert isinstance(value, dict)
    return messages.report(UPBIT, fields({n: v for n, v in (value | change).items() if v != "gone"}))


def test_a_fill_of_the_stream_is_what_it_alone_was() -> None:
    fill, order = told(TRADE)
    assert isinstance(fill, VenueFill)
    assert isinstance(order, VenueOrder)
    assert (fill.price, fill.quantity, fill.fee) == (D(100500000), D("0.00400001"), D("201.0005025"))
    assert (fill.trade_id, fill.maker, fill.client_id) == (
        "68315169-fba4-4175-ade3-aff14a616657",
        True,
        "sx-1",
    )
    assert fill.ts == 1710751597001_000_000
    # Price and volume of the message are the fill's; the order is known from the sums.
    assert (order.quantity, order.filled, order.limit, order.status) == (
        D("0.01"),
        D("0.00400001"),
        None,
        "open",
    )


def test_the_last_fill_fills_the_order() -> None:
    order = told(TRADE, remaining_volume=D(0), executed_volume=D("0.01"), volume=D("0.00599999"))[-1]
    assert isinstance(order, VenueOrder)
    assert (order.status, order.quantity) == ("filled", D("0.01"))


@pytest.mark.parametrize("gone", ["trade_fee", "trade_uuid"])
def test_a_fill_without_its_fee_or_id_is_left_to_be_asked_for(gone: str) -> None:
    first, order = told(TRADE, **{gone: None})
    assert isinstance(first, StreamBreak)
    assert isinstance(order, VenueOrder)
    assert order.filled == D("0.00400001")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"state": "wait"}, "open"),
        ({"state": "watch"}, "open"),
        ({"state": "prevented"}, "open"),
        ({"state": "done", "executed_volume": D("0.01"), "remaining_volume": D(0)}, "filled"),
        ({"state": "cancel"}, "cancelled"),
        ({"state": "cancel", "time_in_force": "ioc"}, "expired"),
        ({"state": "cancel", "time_in_force": "post_only"}, "cancelled"),
    ],
)
def test_states_of_the_stream(change: dict[str, object], status: str) -> None:
    [order] = told(TRADE, volume=D("0.01"), **change)
    assert isinstance(order, VenueOrder)
    assert (order.status, order.quantity, order.limit) == (status, D("0.01"), D(100500000))


def test_the_examples_of_ccxt_are_read(examples: dict[str, dict[str, list[object]]]) -> None:
    first, order = messages.report(UPBIT, fields(examples["pro/upbit.py"]["parse_ws_order"][0]))
    assert isinstance(first, StreamBreak)  # an old message: no fee of the trade
    assert isinstance(order, VenueOrder)
    assert order.filled == D("30925891.29839369")
    first, order = messages.report(BITHUMB, fields(examples["pro/bithumb.py"]["handle_orders"][0]))
    assert isinstance(first, StreamBreak)
    assert isinstance(order, VenueOrder)
    assert order.quantity == D("0.55")


def test_bithumbs_second_version_of_the_stream() -> None:
    event = {
        "type": "myOrder", "code": "KRW-BTC", "order_id": "C01", "client_order_id": "sx-1", "side": "buy",
        "state": "trade", "trade_id": "T9", "order_price": D(9_500_000), "trade_price": D(9_499_000),
        "order_quantity": D("0.5"), "trade_quantity": D("0.2"), "executed_volume": D("0.2"),
        "remaining_volume": D("0.3"), "trade_fee": D("4749.5"), "is_maker": False,
        "trade_timestamp": 1783655148303, "timestamp": 1783655148485,
    }  # fmt: skip
    fill, order = messages.report(BITHUMB, fields(event))
    assert isinstance(fill, VenueFill)
    assert isinstance(order, VenueOrder)
    assert (fill.trade_id, fill.price, fill.quantity, fill.fee) == ("T9", D(9_499_000), D("0.2"), D("4749.5"))
    assert (order.venue_id, order.client_id, order.quantity, order.side) == ("C01", "sx-1", D("0.5"), "buy")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {"ord_type": "limit", "price": "67000000", "volume": "0.01", "side": "bid"}),
        ({"side": "sell"}, {"side": "ask"}),
        ({"tif": "ioc"}, {"time_in_force": "ioc"}),
        ({"tif": "fok"}, {"time_in_force": "fok"}),
        ({"post_only": True}, {"time_in_force": "post_only"}),
        ({"kind": "market", "limit": None, "side": "sell"}, {"ord_type": "market", "volume": "0.01"}),
        # Two hundredths above the quote, up to the grid: 67,010,100 * 1.02 = 68,350,302.
        (
            {"kind": "market", "limit": None},
            {"ord_type": "limit", "price": "68351000", "time_in_force": "ioc"},
        ),
    ],
)
def test_new_orders(change: dict[str, object], expected: dict[str, str]) -> None:
    base: dict[str, object] = {
        "client_id": "sx-1", "symbol": "KRW-BTC", "side": "buy", "kind": "limit", "quantity": D("0.010"),
        "limit": D("6.7E7"), "tif": "gtc", "post_only": False, "reference": D(67_010_100),
    }  # fmt: skip
    sent = messages.new_order(UPBIT, NewOrder(**(base | change)), rules.preset_bands("upbit"))  # type: ignore[arg-type]
    assert {name: sent[name] for name in expected} == expected
    assert (sent["market"], sent["identifier"]) == ("KRW-BTC", "sx-1")
    assert ("time_in_force" in sent) == ("time_in_force" in expected)
    assert ("price" in sent) == (sent["ord_type"] == "limit")


@pytest.mark.parametrize(
    ("quote", "tick", "price", "steps"),
    [
        ("KRW", "1000", "67000000", {"67000000": "1000", "900": "1", "0.5": "0.001"}),  # the table holds
        ("KRW", "0.5", "1375", {"1375": "0.5", "900": "0.5"}),  # KRW-USDT has a step of its own
        ("KRW", "500", "67000000", {"67000000": "500"}),  # the table was changed since
        ("KRW", "1000", None, {"67000000": "1000", "900": "1"}),
        ("KRW", None, None, {"67000000": "1000", "900": "1"}),  # the venue does not tell
        ("BTC", None, None, {"0.5": "0.00000001"}),
        ("USDT", "0.01", "1.2", {"1.2": "0.01"}),
    ],
)
def test_price_steps_come_from_the_venue(
    quote: str, tick: str | None, price: str | None, steps: dict[str, str]
) -> None:
    bands = rules.bands_told("upbit", quote, tick and D(tick), price and D(price))  # type: ignore[arg-type]
    assert {at: str(rules.step_at(bands, D(at))) for at in steps} == {a: str(D(s)) for a, s in steps.items()}


def test_least_orders_of_the_markets() -> None:
    assert rules.preset_minimum("upbit", "KRW") == rules.preset_minimum("bithumb", "KRW") == 5000
    assert rules.preset_minimum("upbit", "USDT") == D("0.5")


GOOD = json.loads(TRADE)
hostile = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(D("NaN")), st.just(D("-1")), st.just(D("1e400")),
    st.just("NaN"), st.just(10**400), st.text(max_size=10), st.lists(st.integers(), max_size=2),
    st.just({}), st.floats(),
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), hostile, min_size=1, max_size=4))
@settings(max_examples=400)
def test_hostile_events_are_refused_or_sane(change: dict[str, object]) -> None:
    try:
        got = messages.report(UPBIT, fields(parse_json(TRADE) | change))
    except MalformedError:
        return
    for item in got:
        if isinstance(item, VenueFill):
            assert item.price > 0
            assert item.quantity > 0
            assert item.price.is_finite()
            assert item.fee.is_finite()
        elif isinstance(item, VenueOrder):
            assert 0 <= item.filled < D("1e25")
            assert item.quantity.is_finite()
