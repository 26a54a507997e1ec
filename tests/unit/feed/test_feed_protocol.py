"""What venues say, well and badly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.errors import BadInputError
from sigma_bot.venues.public import MalformedError, Quote, RefusalError, Trade
from sigma_bot.venues.registry import public_protocol

BOOK = {
    "type": "orderbook",
    "code": "KRW-BTC",
    "timestamp": 1_700_000_000_123,
    "orderbook_units": [
        {"ask_price": 101.0, "bid_price": 100, "ask_size": 1.5, "bid_size": 0},
        {"ask_price": 102.0, "bid_price": 99.0, "ask_size": 1.0, "bid_size": 1.0},
    ],
    "stream_type": "REALTIME",
}
TRADE = {
    "type": "trade",
    "code": "KRW-BTC",
    "trade_price": 100.5,
    "trade_volume": 0.25,
    "trade_timestamp": 1_700_000_000_000,
    "timestamp": 1_700_000_000_555,
    "sequential_id": 17000000000000001,
    "stream_type": "REALTIME",
}
TICKER = {"u": 400900217, "s": "BNBUSDT", "b": "25.35190000", "B": "31.21", "a": "25.36520000", "A": "40.66"}
BTRADE = {
    "e": "trade", "E": 1672515782136, "s": "BNBBTC", "t": 12345, "p": "0.001", "q": "100",
    "T": 1672515782130, "m": True, "M": True,
}  # fmt: skip


@pytest.mark.parametrize("venue", ["upbit", "bithumb"])
def test_korean_events(venue: str) -> None:
    read = public_protocol(venue).read
    assert read(BOOK) == Quote("KRW-BTC", 100.0, 101.0, 0.0, 1.5, 1_700_000_000_123_000_000)
    assert read(TRADE) == Trade("KRW-BTC", 100.5, 0.25, 1_700_000_000_000_000_000, 17000000000000001)
    assert read({**TRADE, "stream_type": "SNAPSHOT"}) is None  # the newest trade again, after subscribing
    assert read({**BOOK, "stream_type": "SNAPSHOT"}) is not None
    assert read({**BOOK, "orderbook_units": []}) is None
    assert read({"status": "UP"}) is None
    with pytest.raises(RefusalError, match="INVALID_PARAM: no such"):
        read({"error": {"name": "INVALID_PARAM", "message": "no such code"}})


@pytest.mark.parametrize("wrap", [False, True])
def test_binance_events(wrap: bool) -> None:
    def read(body: dict[str, Any]) -> object:
        return public_protocol("binance").read({"stream": "x@y", "data": body} if wrap else body)

    assert read(TICKER) == Quote("BNBUSDT", 25.3519, 25.3652, 31.21, 40.66, 0)
    assert read(BTRADE) == Trade("BNBBTC", 0.001, 100.0, 1_672_515_782_130_000_000, 12345)
    assert read({**TICKER, "b": "0.00000000", "B": "0"}) is None  # nobody bids
    assert read({"result": None, "id": 1}) is None
    with pytest.raises(RefusalError, match="-1121: Invalid symbol"):
        read({"error": {"code": -1121, "msg": "Invalid symbol."}, "id": 1})


def test_requests() -> None:
    [request] = public_protocol("upbit").requests({"KRW-ETH", "KRW-BTC"}, {"KRW-XRP"})
    assert isinstance(request, list)
    assert request[1:] == [{"type": kind, "codes": ["KRW-BTC", "KRW-ETH"]} for kind in ("orderbook", "trade")]
    assert public_protocol("binance").requests({"BTCUSDT", "ETHUSDT"}, {"ETHUSDT", "XRPUSDT"}) == [
        {"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker", "btcusdt@trade"], "id": 1},
        {"method": "UNSUBSCRIBE", "params": ["xrpusdt@bookTicker", "xrpusdt@trade"], "id": 2},
    ]


def test_an_unknown_venue_names_the_nearest() -> None:
    with pytest.raises(BadInputError, match="did you mean 'upbit'"):
        public_protocol("upbitt")


HOSTILE = [
    None, True, "", "x", "NaN", "1e999", "-1", -1, -0.5, float("nan"), float("inf"), 10**400, [], {}, [1],
    {"a": 1}, "1" * 500, 0.1, 10**15,
]  # fmt: skip
PLACES: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("upbit", TRADE, ("type", "code", "trade_price", "trade_volume", "trade_timestamp", "sequential_id")),
    ("upbit", BOOK, ("type", "code", "timestamp", "orderbook_units")),
    ("binance", TICKER, ("s", "b", "B", "a", "A")),
    ("binance", BTRADE, ("e", "s", "p", "q", "T", "t")),
]


@pytest.mark.parametrize(("venue", "body", "fields"), PLACES)
def test_hostile_values_are_refused_or_sound(
    venue: str, body: dict[str, Any], fields: tuple[str, ...]
) -> None:
    """Each field with each odd value, and absent: never another exception, never an unsound number."""
    for field in fields:
        for value in HOSTILE:
            check(venue, {**body, field: value})
        check(venue, {name: inner for name, inner in body.items() if name != field})
    for value in HOSTILE:
        check(venue, value)
        check(venue, {**BOOK, "orderbook_units": [value]})
        for name in ("bid_price", "ask_price", "bid_size", "ask_size"):
            check("upbit", {**BOOK, "orderbook_units": [{**BOOK["orderbook_units"][0], name: value}]})  # type: ignore[index]


ODD = ("error", "result", "stream", "data", "status")
KEYS = st.sampled_from(sorted({*BOOK, *TRADE, *TICKER, *BTRADE, *ODD}))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON, st.sampled_from(["upbit", "binance"]))
def test_any_json_is_refused_or_sound(message: object, venue: str) -> None:
    check(venue, message)


def check(venue: str, message: object) -> None:
    try:
        event = public_protocol(venue).read(message)
    except (MalformedError, RefusalError) as error:
        if len(str(error)) > 400:
            pytest.fail(f"a message of {len(str(error))} characters")
        return
    if event is None:
        return
    assert json.dumps(event._asdict(), allow_nan=False)
    assert 0 < len(event.symbol) <= 40
    assert event.exchange_ts >= 0
    if isinstance(event, Quote):
        assert 0 < event.bid <= event.ask
        assert min(event.bid_size, event.ask_size) >= 0
    else:
        assert event.price > 0
        assert event.size >= 0
