"""Binance's answers and events, read from others' fixtures and from hostile ones."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.venues.binance import messages
from sigma_bot.venues.fields import Fields, MalformedError, parse_json, rows
from sigma_bot.venues.types import (
    OrderSizes,
    PriceLimits,
    StreamBreak,
    UnknownError,
    VenueError,
    VenueFill,
    VenueMarket,
    VenueOrder,
)

D = Decimal


def files(folder: Path, archive: str) -> dict[str, str]:
    """Every text of a zip, by the file's own name."""
    with zipfile.ZipFile(folder / "protocol" / archive) as zipped:
        return {name: zipped.read(name).decode("utf-8-sig") for name in zipped.namelist() if "." in name}


@pytest.fixture(scope="session")
def nautilus(shared_data: Path) -> dict[str, object]:
    """Values of JSON files by their base names, without their envelope."""
    found = {}
    for name, text in files(shared_data, "binance_spot_nautilus_fixtures.zip").items():
        if name.endswith(".json"):
            value = parse_json(text)
            found[Path(name).stem] = value.get("data", value) if isinstance(value, dict) else value
    return found


@pytest.fixture(scope="session")
def jkorf(shared_data: Path) -> dict[str, object]:
    """Answers of Binance.Net's fixtures by path below Endpoints/Spot: three lines, then JSON."""
    found = {}
    for name, text in files(shared_data, "binance_spot_jkorf_fixtures.zip").items():
        if "Endpoints/Spot/" in name:
            found[name.partition("Endpoints/Spot/")[2]] = parse_json(text.split("\n", 3)[3])
    return found


REPORTS = {
    # file: (status, filled, fill, client id)
    "new": ("open", "0", None, "O-12345-test-new"),
    "canceled": ("cancelled", "0.1", None, "O-12345-test-cancel"),
    "trade": ("open", "0.5", ("98765432", "2499.5", "0.5", "0.0005", "ETH", True), "O-12345-test-trade"),
    "trade_l_zero_canceled": ("cancelled", "0", None, "O-12345-test-l-zero-canceled"),
    "expired": ("expired", "0", None, "O-12345-test-expired"),
    "rejected": ("refused", "0", None, "O-12345-test-reject"),
    "trade_prevention": ("expired", "0", None, "O-12345-test-stp"),
    "pending_cancel": ("open", "0.1", None, "O-12345-test-cancel"),
    "calculated": ("filled", "0.01", None, "autoclose-123456789"),
    "empty_client_id": ("open", "0.5", ("98765432", "2499.5", "0.5", "0.0005", "ETH", True), ""),
    "binance_us": (
        "filled", "0.00042", ("88685053", "117290.77", "0.00042", "0.00492621", "USD", False),
        "T0ESHzso0banw0QiPFZYgj",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPORTS)
def test_execution_reports(nautilus: dict[str, object], name: str) -> None:
    status, filled, fill, client_id = REPORTS[name]
    told = messages.event(nautilus[f"ws_spot_execution_report_{name}"])
    order = told[-1]
    assert isinstance(order, VenueOrder)
    assert (order.status, order.filled, order.client_id) == (status, D(filled), client_id)
    fills = [e for e in told if isinstance(e, VenueFill)]
    if fill is None:
        assert fills == []
    else:
        [got] = fills
        assert (got.trade_id, got.price, got.quantity, got.fee, got.fee_currency, got.maker) == (
            fill[0], D(fill[1]), D(fill[2]), D(fill[3]), fill[4], fill[5],
        )  # fmt: skip
        assert (got.venue_id, got.symbol, got.ts) == (order.venue_id, order.symbol, order.ts)


def test_a_fill_at_price_zero_is_not_believed(nautilus: dict[str, object]) -> None:
    with pytest.raises(MalformedError, match="above zero"):
        messages.event(nautilus["ws_spot_execution_report_trade_l_zero"])


def test_every_report_of_the_fixtures_is_read_or_refused(nautilus: dict[str, object]) -> None:
    read = 0
    for name, value in nautilus.items():
        if "execution_report" in name:
            try:
                told = messages.event(value)
            except MalformedError:
                assert "l_zero" in name, name
                continue
            assert isinstance(told[-1], VenueOrder)
            read += 1
    assert read >= 20


def test_other_events_say_nothing_and_the_end_ends(nautilus: dict[str, object]) -> None:
    for name in ("account_position_wrapped", "balance_update_wrapped", "list_status_wrapped"):
        assert messages.event(nautilus[name]) == []
    with pytest.raises(UnknownError, match="eventStreamTerminated"):
        messages.event({"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": 1}})


def test_the_reply_to_a_cancel_names_the_order_and_not_the_cancel() -> None:
    event = {
        "e": "executionReport", "s": "BTCUSDT", "S": "BUY", "c": "cancel-7", "C": "sx-1", "x": "CANCELED",
        "X": "CANCELED", "i": 7, "q": "1", "z": "0", "p": "5", "T": 1_700_000_000_000, "r": "NONE",
    }  # fmt: skip
    [order] = messages.event(event)
    assert isinstance(order, VenueOrder)
    assert (order.client_id, order.venue_id) == ("sx-1", "7")


def test_answers_of_rest(nautilus: dict[str, object], jkorf: dict[str, object]) -> None:
    for value in (nautilus["order_response"], jkorf["Trading/GetOrder.txt"]):
        order = messages.order(Fields(value, "order"))
        assert (order.venue_id, order.client_id, order.symbol) == ("1", "myOrder1", "LTCBTC")
        assert (order.status, order.quantity, order.filled, order.limit) == ("open", D(1), D(0), D("0.1"))
        assert order.ts == 1499827319559_000_000
    placed = Fields(nautilus["new_order_full_response"], "order")
    order = messages.order(placed)
    fills = messages.fills_of_new(placed, order)
    assert (order.status, order.limit) == ("filled", None)
    assert [(f.trade_id, f.price, f.fee, f.fee_currency) for f in fills][1] == (
        "57",
        D(3999),
        D("19.995"),
        "USDT",
    )
    assert sum(f.quantity for f in fills) == order.filled == D(10)
    for value in (nautilus["account_trades_response"], jkorf["Trading/GetUserTrades.txt"]):
        ours = VenueOrder("c", "100234", "BNBBTC", "buy", "filled", D(12), D(12), None, 0)
        [fill] = [messages.trade(row, ours) for row in rows(value, "trades")]
        assert (fill.trade_id, fill.price, fill.quantity, fill.fee) == (
            "28457",
            D("4.000001"),
            D(12),
            D("10.1"),
        )
        assert (fill.side, fill.maker, fill.ts) == ("buy", False, 1499865549590_000_000)
        with pytest.raises(MalformedError, match="another order"):
            messages.trade(
                next(rows(value, "trades")),
                VenueOrder("c", "1", "BNBBTC", "buy", "open", D(1), D(0), None, 0),
            )
    assert [o.status for o in map(messages.order, rows(nautilus["open_orders_response"], "o"))] == ["open"]
    assert len([messages.order(row) for row in rows(jkorf["Trading/GetOrders.txt"], "o")]) >= 1


def test_accounts_and_markets(nautilus: dict[str, object], jkorf: dict[str, object]) -> None:
    account = Fields(jkorf["Account/GetAccountInfo.txt"], "account")
    assert messages.balances(account)["BTC"].free == D("4723846.89208129")
    assert messages.commission(account) == (D("0.0015"), D("0.0015"))
    info = Fields(nautilus["http_spot_market_exchange_info"], "info")
    market = messages.market(info, "BTCUSDT", (D("0.001"), D("0.002")))
    assert market.bands == ((D(0), D("0.01")),)
    assert (market.lot_size, market.min_quantity, market.min_notional) == (D("0.00001"), D("0.00001"), D(10))
    assert (market.base, market.quote, market.active, market.taker_fee) == ("BTC", "USDT", True, D("0.002"))


FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000.00", "tickSize": "0.01"},
    {"filterType": "LOT_SIZE", "minQty": "1.0", "maxQty": "9000.0", "stepSize": "0.1"},
    {"filterType": "MARKET_LOT_SIZE", "minQty": "2.0", "maxQty": "500.0", "stepSize": "1.0"},
    {"filterType": "MAX_POSITION", "maxPosition": "10.0"},
]
BY_SIDE = {
    "filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2",
    "askMultiplierUp": "4", "askMultiplierDown": "0.1",
}  # fmt: skip
BOTH = {"filterType": "PERCENT_PRICE", "multiplierUp": "3", "multiplierDown": "0.3"}
NOTIONAL = {"filterType": "NOTIONAL", "minNotional": "5", "maxNotional": "900", "applyMaxToMarket": True}


def symbol_of(*filters: Mapping[str, object]) -> VenueMarket:
    symbol = {
        "symbol": "AB",
        "baseAsset": "A",
        "quoteAsset": "B",
        "status": "TRADING",
        "filters": list(filters),
    }
    return messages.market(Fields({"symbols": [symbol]}, "info"), "AB", (D(0), D(0)))


def test_every_filter_is_read() -> None:
    found = symbol_of(*FILTERS, BY_SIDE, NOTIONAL)
    assert found.sizes == OrderSizes(D(9000), D(500), D(900), D(900))
    assert found.prices == PriceLimits(D("0.01"), D(1000), (D("0.2"), D(5)), (D("0.1"), D(4)))
    assert (found.lot_size, found.min_quantity, found.max_position) == (D(1), D(2), D(10))
    assert symbol_of(*FILTERS, BOTH).prices.sell == (D("0.3"), D(3))
    assert symbol_of(*FILTERS, NOTIONAL | {"applyMaxToMarket": False}).sizes.market_notional == 0
    assert symbol_of().sizes == OrderSizes()
    assert symbol_of().prices == PriceLimits()


GOOD = {
    "e": "executionReport", "E": 1, "s": "BTCUSDT", "c": "sx-1", "S": "BUY", "o": "LIMIT", "f": "GTC",
    "q": "1.00000000", "p": "5.00", "C": "", "x": "TRADE", "X": "PARTIALLY_FILLED", "r": "NONE", "i": 7,
    "l": "0.40000000", "z": "0.40000000", "L": "4.99", "n": "0.001", "N": "BTC", "T": 1_700_000_000_000,
    "t": 9, "m": False,
}  # fmt: skip
hostile = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("NaN"), st.just("-1"),
    st.just("1e99999"), st.just("9" * 4000), st.just(10**500), st.just(D("Infinity")), st.just(D("-0.1")),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.just("\x00\x1b[31m"), st.just("x" * 10_000),
)  # fmt: skip


KEYS = st.sampled_from(sorted(GOOD))


@given(st.dictionaries(KEYS, hostile, min_size=1, max_size=4), st.sets(KEYS, max_size=3))
@settings(max_examples=400)
def test_hostile_reports_are_refused_or_sane(change: dict[str, object], gone: set[str]) -> None:
    event = {name: value for name, value in (GOOD | change).items() if name not in gone}
    try:
        told = messages.event(event)
    except (MalformedError, UnknownError):
        return
    check_sane(told)


def check_sane(told: list[VenueOrder | VenueFill | StreamBreak]) -> None:
    """Whatever is let through is finite, positive and of a size that occurs."""
    for item in told:
        if isinstance(item, VenueOrder):
            assert 0 <= item.filled <= max(item.quantity, item.filled)
            numbers = [item.quantity, item.filled, item.limit or D(0)]
        elif isinstance(item, VenueFill):
            assert item.price > 0
            assert item.quantity > 0
            assert item.trade_id
            numbers = [item.price, item.quantity, item.fee]
        else:
            continue
        assert all(n.is_finite() and 0 <= n <= D("1e24") for n in numbers)
        assert len(item.client_id) <= 200
        assert 946_684_800 < item.ts / 1e9 < 4_102_444_800


NAMES = st.sampled_from(["event", "e", "id", "status", "result", "error"])
shapes = st.recursive(
    hostile,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@given(shapes)
@settings(max_examples=200)
def test_hostile_messages_of_any_shape(value: object) -> None:
    for read in (messages.event, messages.subscribed):
        with contextlib.suppress(MalformedError, VenueError):
            read(value)
