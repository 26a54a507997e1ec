"""The Binance client against a server whose answers the tests write: the wire, every answer, every fault."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from sigma_bot.venues import ccxt_client, errors
from sigma_bot.venues.binance.private import BinanceClient
from sigma_bot.venues.keys import Keys
from sigma_bot.venues.limiter import LocalLimiter
from sigma_bot.venues.types import (
    NewOrder,
    RefusedError,
    TransientError,
    UnknownError,
    VenueError,
    VenueOrder,
)
from tests.integration.venues.scripted_venue import CUT, Answer, VenueServer

D = Decimal
NOW_MS = 1_700_000_000_000
CREATE = "POST /api/v3/order"


def healthy(server: VenueServer) -> None:
    server.on("GET /api/v3/time", lambda _: Answer({"serverTime": time.time_ns() // 1_000_000}))
    server.on(
        "GET /api/v3/account",
        {
            "canTrade": True,
            "commissionRates": {"maker": "0.00080000", "taker": "0.00100000"},
            "balances": [
                {"asset": "BTC", "free": "0.12345678", "locked": "0.00000001"},
                {"asset": "DUST", "free": "0.00000000", "locked": "0.00000000"},
            ],
        },
    )
    permissions = {"enableSpotAndMarginTrading": True, "enableWithdrawals": False, "ipRestrict": True}
    server.on("GET /sapi/v1/account/apiRestrictions", permissions)


@pytest.fixture
async def client(venue_server: VenueServer, keys: Keys) -> AsyncIterator[BinanceClient]:
    healthy(venue_server)
    client = BinanceClient(keys, LocalLimiter("binance"), venue_server.url)
    await client.open()
    yield client
    await client.close()


def answered(**change: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "orderId": 28,
        "clientOrderId": "sx-00000001-1-1-0",
        "transactTime": NOW_MS,
        "price": "20000.50000000",
        "origQty": "0.01000000",
        "executedQty": "0.00000000",
        "status": "NEW",
        "side": "BUY",
        "fills": [],
    } | change


def order(**change: Any) -> NewOrder:
    fields = {
        "client_id": "sx-00000001-1-1-0",
        "symbol": "BTCUSDT",
        "side": "buy",
        "kind": "limit",
        "quantity": D("0.01"),
        "limit": D("20000.50"),
        "tif": "gtc",
        "post_only": False,
        "reference": D("20001"),
    }
    return NewOrder(**(fields | change))  # type: ignore[arg-type]


def soon() -> int:
    return time.monotonic_ns() + 10_000_000_000


async def test_what_is_written_is_the_exact_order_signed_with_our_window(
    client: BinanceClient, venue_server: VenueServer
) -> None:
    venue_server.on(CREATE, answered(origQty="12345678901.12345678", price="0.00000012"))
    await client.create(order(quantity=D("12345678901.12345678"), limit=D("1.2E-7")), soon())
    [asked] = venue_server.of(CREATE)
    signed, _, signature = asked.text.rpartition("&signature=")
    expected = hmac.new(b"test-api-secret-0123456789", signed.encode(), hashlib.sha256).hexdigest()
    assert signature == expected
    params = asked.params
    assert abs(int(params.pop("timestamp")) - time.time_ns() // 1_000_000) < 60_000
    del params["signature"]
    assert params == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "12345678901.12345678",
        "price": "0.00000012",
        "newClientOrderId": "sx-00000001-1-1-0",
        "newOrderRespType": "FULL",
        "recvWindow": "3000",
    }
    assert asked.headers["X-MBX-APIKEY"] == "test-api-key-0123456789"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"post_only": True}, {"type": "LIMIT_MAKER", "price": "20000.5"}),
        ({"tif": "ioc"}, {"type": "LIMIT", "timeInForce": "IOC", "price": "20000.5"}),
        ({"tif": "fok", "side": "sell"}, {"type": "LIMIT", "timeInForce": "FOK", "side": "SELL"}),
        ({"kind": "market", "limit": None, "tif": "ioc"}, {"type": "MARKET", "quantity": "0.01"}),
    ],
)
async def test_kinds_of_order(
    client: BinanceClient, venue_server: VenueServer, change: dict[str, Any], expected: dict[str, str]
) -> None:
    venue_server.on(CREATE, answered())
    await client.create(order(**change), soon())
    params = venue_server.of(CREATE)[0].params
    assert {name: params.get(name) for name in expected} == expected
    assert ("price" in params) == (params["type"] != "MARKET")
    assert ("timeInForce" in params) == (params["type"] == "LIMIT")


async def test_an_order_that_fills_at_once_comes_with_its_fills(
    client: BinanceClient, venue_server: VenueServer
) -> None:
    fills = [
        {
            "price": "20000.4",
            "qty": "0.004",
            "commission": "0.000004",
            "commissionAsset": "BTC",
            "tradeId": 56,
        },
        {
            "price": "20000.5",
            "qty": "0.006",
            "commission": "0.000006",
            "commissionAsset": "BTC",
            "tradeId": 57,
        },
    ]
    venue_server.on(CREATE, answered(status="FILLED", executedQty="0.01000000", fills=fills))
    placed, got = await client.create(order(), soon())
    assert (placed.status, placed.filled, placed.venue_id) == ("filled", D("0.01"), "28")
    assert [(f.trade_id, f.price, f.quantity, f.fee, f.fee_currency) for f in got] == [
        ("56", D("20000.4"), D("0.004"), D("0.000004"), "BTC"),
        ("57", D("20000.5"), D("0.006"), D("0.000006"), "BTC"),
    ]
    assert {f.ts for f in got} == {NOW_MS * 1_000_000}


async def test_nothing_is_written_after_the_deadline(
    client: BinanceClient, venue_server: VenueServer
) -> None:
    venue_server.on(CREATE, answered())
    writing: list[int] = []
    with pytest.raises(TransientError) as late:
        await client.create(order(), time.monotonic_ns() - 1, lambda: writing.append(1))
    assert late.value.code == "late"
    assert venue_server.of(CREATE) == []
    assert writing == []


async def test_it_is_told_before_the_first_byte_is_written(
    client: BinanceClient, venue_server: VenueServer
) -> None:
    venue_server.on(CREATE, answered())
    heard: list[int] = []
    await client.create(order(), soon(), lambda: heard.append(len(venue_server.of(CREATE))))
    assert heard == [0]
    assert len(venue_server.of(CREATE)) == 1


async def test_a_connection_that_takes_past_the_deadline_is_not_written_to(
    client: BinanceClient, venue_server: VenueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue_server.on(CREATE, answered())
    deadline = time.monotonic_ns() + 30_000_000
    connect = aiohttp.TCPConnector.connect

    async def slowly(*request: object, **options: Any) -> object:
        made = await connect(*request, **options)  # type: ignore[arg-type]
        while time.monotonic_ns() <= deadline:
            await asyncio.sleep(0.005)
        return made

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", slowly)
    with pytest.raises(TransientError) as late:
        await client.create(order(), deadline)
    assert late.value.code == "late"
    assert venue_server.of(CREATE) == []


async def test_a_refused_connection_is_certain_not_to_have_sent(keys: Keys) -> None:
    client = BinanceClient(keys, LocalLimiter("binance"), "http://127.0.0.1:1")
    with pytest.raises(TransientError) as unsent:
        await client.open()
    assert unsent.value.code == "unsent"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(CUT),
        Answer("<html>502</html>", status=502),
        Answer({"code": -1000, "msg": "An unknown error occurred while processing the request."}, status=500),
        Answer({"code": -1006, "msg": "Unexpected response; execution status unknown."}, status=503),
        Answer({"code": -1007, "msg": "Timeout waiting for response; execution status unknown."}, status=504),
        Answer({"code": -2010, "msg": "Duplicate order sent."}, status=400),
        Answer({"code": -4711, "msg": "never heard of"}, status=400),
        Answer('{"symbol":"BTCUSDT","orderId":28,"clientOrd'),
        Answer(""),
        Answer("null"),
        Answer([]),
        Answer(b"\xff\xfe\x00\x01"),
        Answer("[" * 100_000),
        Answer(answered(executedQty="NaN")),
        Answer('{"symbol":"BTCUSDT","orderId":28,"executedQty":NaN}'),
        Answer(answered(executedQty="-1")),
        Answer(answered(executedQty="1" * 5000)),
        Answer(answered(executedQty=10**400)),
        Answer(answered(executedQty="0.02")),
        Answer(answered(status="EXPLODED")),
        Answer(answered(status=None)),
        Answer(answered(status=["NEW"])),
        Answer(answered(symbol="ETHUSDT")),
        Answer(answered(clientOrderId="another")),
        Answer(answered(transactTime="yesterday")),
        Answer(answered(fills={"price": "1"})),
        Answer(answered(fills=[{"price": "0", "qty": "1", "commission": "0", "commissionAsset": "B"}])),
    ],
    ids=lambda a: f"{a.status}-{'cut' if a.body is CUT else str(a.body)[:40]}",
)
async def test_an_answer_that_tells_nothing_leaves_the_order_unknown(
    client: BinanceClient, venue_server: VenueServer, answer: Answer
) -> None:
    venue_server.on(CREATE, answer)
    before = sum(errors.COUNTS.values())
    with pytest.raises(UnknownError):
        await client.create(order(), soon())
    assert len(venue_server.of(CREATE)) == 1  # and it was not sent again
    assert sum(errors.COUNTS.values()) == before + 1


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "ours", "said"),
    [
        (429, -1003, "Too many requests.", TransientError, "rate-limit", "too often"),
        (418, -1003, "Way too many requests.", TransientError, "banned", "banned"),
        (400, -1021, "Timestamp for this request is outside.", TransientError, "clock", "clock"),
        (400, -1013, "Filter failure: PRICE_FILTER", RefusedError, "filter", "PRICE_FILTER"),
        (400, -1013, "Filter failure: NOTIONAL", RefusedError, "filter", "NOTIONAL"),
        (400, -1013, "Market is closed.", RefusedError, "suspended", "does not trade"),
        (400, -1121, "Invalid symbol.", RefusedError, "unknown-market", "not known"),
        (
            400,
            -2010,
            "Account has insufficient balance for requested action.",
            RefusedError,
            "balance",
            "balance",
        ),
        (400, -2010, "Order would immediately match and take.", RefusedError, "would-take", "post-only"),
        (401, -2015, "Invalid API-key, IP, or permissions for action.", RefusedError, "key", "may not trade"),
        (401, -2014, "API-key format invalid.", RefusedError, "key", "SIGMA_KEYS_DIR"),
    ],
)
async def test_an_answer_that_says_no(
    client: BinanceClient,
    venue_server: VenueServer,
    status: int,
    code: int,
    message: str,
    kind: type[VenueError],
    ours: str,
    said: str,
) -> None:
    venue_server.on(CREATE, {"code": code, "msg": message}, status=status, headers={"Retry-After": "7"})
    with pytest.raises(kind) as no:
        await client.create(order(), soon())
    assert no.value.code == ours
    assert said in str(no.value)
    assert str(code) in str(no.value)
    if isinstance(no.value, TransientError):
        assert no.value.after == 7.0


async def test_find_by_number_and_by_id_and_not_at_all(
    client: BinanceClient, venue_server: VenueServer
) -> None:
    route = "GET /api/v3/order"
    # After a cancel the venue shows the id of the cancel.
    cancelled = answered(
        status="CANCELED", clientOrderId="web_cancel", executedQty="0.004", updateTime=NOW_MS
    )
    venue_server.on(route, cancelled)
    found = await client.find("BTCUSDT", "sx-00000001-1-1-0", "28")
    assert found is not None
    assert (found.status, found.client_id, found.filled) == ("cancelled", "sx-00000001-1-1-0", D("0.004"))
    assert venue_server.of(route)[0].query["orderId"] == "28"
    assert "origClientOrderId" not in venue_server.of(route)[0].query
    venue_server.on(route, {"code": -2013, "msg": "Order does not exist."}, status=400)
    assert await client.find("BTCUSDT", "sx-00000001-1-1-0", None) is None
    assert venue_server.of(route)[1].query["origClientOrderId"] == "sx-00000001-1-1-0"


async def test_a_cancel_of_an_order_that_is_not_open_is_gone(
    client: BinanceClient, venue_server: VenueServer
) -> None:
    route = "DELETE /api/v3/order"
    venue_server.on(route, answered(status="CANCELED"))
    await client.cancel("BTCUSDT", "sx-00000001-1-1-0", None)
    venue_server.on(route, {"code": -2011, "msg": "Unknown order sent."}, status=400)
    with pytest.raises(RefusedError) as gone:
        await client.cancel("BTCUSDT", "sx-00000001-1-1-0", "28")
    assert gone.value.code == "gone"


async def test_fills_are_read_page_by_page(client: BinanceClient, venue_server: VenueServer) -> None:
    def trade(number: int) -> dict[str, Any]:
        return {
            "symbol": "BTCUSDT", "id": number, "orderId": 28, "price": "20000.5", "qty": "0.00001",
            "commission": "0.00000001", "commissionAsset": "BTC", "time": NOW_MS + number, "isBuyer": True,
            "isMaker": number % 2 == 0,
        }  # fmt: skip

    def answer(asked: object) -> Answer:
        first = int(asked.query.get("fromId", "1"))  # type: ignore[attr-defined]
        return Answer([trade(n) for n in range(first, min(first + 1000, 2501))])

    venue_server.on("GET /api/v3/myTrades", answer)
    ours = VenueOrder("c", "28", "BTCUSDT", "buy", "filled", D("0.025"), D("0.025"), None, 0)
    fills = await client.fills("BTCUSDT", ours)
    assert [f.trade_id for f in fills] == [str(n) for n in range(1, 2501)]
    assert {f.client_id for f in fills} == {"c"}
    assert sum(f.maker for f in fills) == 1250
    assert [a.query.get("fromId") for a in venue_server.of("GET /api/v3/myTrades")] == [None, "1001", "2001"]


async def test_open_orders_and_balances(client: BinanceClient, venue_server: VenueServer) -> None:
    venue_server.on(
        "GET /api/v3/openOrders",
        [answered(time=NOW_MS), answered(orderId=29, clientOrderId="foreign", status="PARTIALLY_FILLED")],
    )
    assert [(o.venue_id, o.client_id, o.status) for o in await client.open_orders("BTCUSDT")] == [
        ("28", "sx-00000001-1-1-0", "open"),
        ("29", "foreign", "open"),
    ]
    held = await client.balances()
    assert list(held) == ["BTC"]
    assert (held["BTC"].free, held["BTC"].locked) == (D("0.12345678"), D("1E-8"))


async def test_the_market_rules_are_the_venues(client: BinanceClient, venue_server: VenueServer) -> None:
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000", "stepSize": "0.00001000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
    ]
    symbol = {
        "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
        "baseAssetPrecision": 8, "isSpotTradingAllowed": True, "filters": filters,
    }  # fmt: skip
    venue_server.on(
        "GET /api/v3/exchangeInfo", {"symbols": [symbol]}, {"symbols": [symbol | {"status": "BREAK"}]}
    )
    market = await client.market("BTCUSDT")
    assert (market.base, market.quote, market.active) == ("BTC", "USDT", True)
    assert market.bands == ((D(0), D("0.01")),)
    assert (market.lot_size, market.min_quantity, market.min_notional) == (D("1E-5"), D("1E-5"), D(5))
    assert (market.maker_fee, market.taker_fee) == (D("0.0008"), D("0.001"))
    assert not (await client.market("BTCUSDT")).active


async def test_an_unknown_market_names_the_nearest(client: BinanceClient, venue_server: VenueServer) -> None:
    venue_server.on("GET /api/v3/exchangeInfo", {"code": -1121, "msg": "Invalid symbol."}, status=400)
    venue_server.on(
        "GET /api/v3/ticker/price", [{"symbol": "BTCUSDT", "price": "1"}, {"symbol": "ETHUSDT", "price": "1"}]
    )
    with pytest.raises(RefusedError, match="no market 'BTCUSD'; did you mean 'BTCUSDT'"):
        await client.market("BTCUSD")


def said_no(code: int, message: str, status: int = 400) -> Answer:
    return Answer({"code": code, "msg": message}, status)


PERMISSIONS, ACCOUNT = "GET /sapi/v1/account/apiRestrictions", "GET /api/v3/account"
BAD_STARTS = [
    (
        PERMISSIONS,
        {"enableSpotAndMarginTrading": True, "enableWithdrawals": True},
        "may withdraw",
        "withdrawal",
    ),
    (
        PERMISSIONS,
        {"enableSpotAndMarginTrading": False, "enableWithdrawals": False},
        "not trade",
        "permission",
    ),
    (ACCOUNT, {"canTrade": False}, "may not trade", "permission"),
    (
        ACCOUNT,
        said_no(-2015, "Invalid API-key, IP, or permissions for action.", 401),
        "address is not",
        "key",
    ),
    (ACCOUNT, said_no(-1022, "Signature for this request is not valid."), "secret does not belong", "key"),
    ("GET /api/v3/time", {"serverTime": NOW_MS}, "clock", "clock"),
]


@pytest.mark.parametrize(("route", "answer", "said", "code"), BAD_STARTS)
async def test_a_key_or_clock_that_will_not_do_is_refused_at_the_start(
    venue_server: VenueServer, keys: Keys, route: str, answer: object, said: str, code: str
) -> None:
    healthy(venue_server)
    venue_server.on(route, answer)
    client = BinanceClient(keys, LocalLimiter("binance"), venue_server.url)
    with pytest.raises(RefusedError, match=said) as refused:
        await client.open()
    assert refused.value.code == code
    assert "test-api" not in str(refused.value)


async def test_the_clock_offset_is_the_venues_clock_less_ours(
    client: BinanceClient, venue_server: VenueServer
) -> None:
    venue_server.on(
        "GET /api/v3/time", lambda _: Answer({"serverTime": time.time_ns() // 1_000_000 + 500_000})
    )
    assert abs(await client.clock_offset_ns() - 500_000_000_000) < 5_000_000_000


async def test_a_silent_venue_leaves_the_order_unknown(
    venue_server: VenueServer, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy(venue_server)
    monkeypatch.setattr(ccxt_client, "TIMEOUT_MS", 300)
    client = BinanceClient(keys, LocalLimiter("binance"), venue_server.url)
    await client.open()
    never = asyncio.Event()
    venue_server.on(CREATE, Answer(answered(), before=never))
    with pytest.raises(UnknownError) as silent:
        await client.create(order(), soon())
    assert silent.value.code == "lost"
    never.set()
    await client.close()
