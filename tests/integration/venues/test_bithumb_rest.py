"""The Bithumb client against a server whose answers the tests write; there is no emulator of Bithumb."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from urllib.parse import urlencode

import pytest

from sigma_bot.venues.bithumb.private import BithumbClient
from sigma_bot.venues.keys import Keys
from sigma_bot.venues.limiter import LocalLimiter
from sigma_bot.venues.types import NewOrder, RefusedError, UnknownError
from tests.integration.venues.scripted_venue import Answer, Asked, VenueServer

D = Decimal
ORDER = {
    "uuid": "C01", "side": "bid", "ord_type": "limit", "price": "9500000", "state": "wait",
    "market": "KRW-BTC", "created_at": "2026-07-04T15:05:46+09:00", "volume": "0.001",
    "remaining_volume": "0.001", "paid_fee": "0", "executed_volume": "0", "trades": [],
    "client_order_id": "sx-1",
}  # fmt: skip
PLACED = {
    "order_id": "C01", "market": "KRW-BTC", "side": "bid", "order_type": "limit",
    "created_at": "2026-07-04T14:39:04+09:00", "stp_type": "cancel_taker",
}  # fmt: skip
CHANCE = {
    "bid_fee": "0.0025", "ask_fee": "0.0025", "maker_bid_fee": "0.002", "maker_ask_fee": "0.0025",
    "market": {
        "id": "KRW-BTC", "bid": {"currency": "KRW", "min_total": "5000"},
        "ask": {"currency": "BTC", "min_total": "5000"}, "max_total": "1000000000", "state": "active",
    },
}  # fmt: skip
SENT = NewOrder("sx-1", "KRW-BTC", "buy", "limit", D("0.001"), D(9_500_000), "gtc", False, D(9_500_000))


@pytest.fixture
async def client(venue_server: VenueServer, keys: Keys) -> AsyncIterator[BithumbClient]:
    held = [
        {"currency": "KRW", "balance": "51026.5", "locked": "0"},
        {"currency": "X", "balance": "0", "locked": "0"},
    ]
    venue_server.on("GET /v1/accounts", held)
    client = BithumbClient(keys, LocalLimiter("bithumb"), venue_server.url)
    await client.open()
    yield client
    await client.close()


def soon() -> int:
    return time.monotonic_ns() + 10_000_000_000


def claims(asked: Asked) -> dict[str, object]:
    """The token's content, its signature checked."""
    head, body, signature = asked.headers["Authorization"].removeprefix("Bearer ").split(".")
    digest = hmac.new(b"test-api-secret-0123456789", f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == signature
    return json.loads(base64.urlsafe_b64decode(body + "==="))


async def test_an_order_is_written_exactly_and_its_token_covers_it(
    client: BithumbClient, venue_server: VenueServer
) -> None:
    venue_server.on("POST /v2/orders", PLACED, status=201)
    placed, fills = await client.create(SENT, soon())
    assert (placed.venue_id, placed.status, placed.quantity, fills) == ("C01", "open", D("0.001"), [])
    [asked] = venue_server.of("POST /v2/orders")
    body = json.loads(asked.text)
    assert body == {
        "market": "KRW-BTC", "side": "bid", "volume": "0.001", "order_type": "limit", "price": "9500000",
        "client_order_id": "sx-1",
    }  # fmt: skip
    token = claims(asked)
    assert token["query_hash"] == hashlib.sha512(urlencode(body).encode()).hexdigest()
    assert abs(int(str(token["timestamp"])) - time.time_ns() // 1_000_000) < 60_000
    assert token["access_key"] == "test-api-key-0123456789"


async def test_orders_are_found_filled_listed_and_cancelled(
    client: BithumbClient, venue_server: VenueServer
) -> None:
    trade = {"uuid": "T1", "price": "9500000", "volume": "0.001", "created_at": "2026-07-04T15:05:47+09:00"}
    done = ORDER | {"state": "done", "executed_volume": "0.001", "paid_fee": "23.75", "trades": [trade]}
    venue_server.on("GET /v1/order", done)
    found = await client.find("KRW-BTC", "sx-1", None)
    assert found is not None
    assert (found.status, found.filled, found.venue_id) == ("filled", D("0.001"), "C01")
    [fill] = await client.fills("KRW-BTC", found)
    assert (fill.trade_id, fill.price, fill.fee, fill.fee_currency) == ("T1", D(9_500_000), D("23.75"), "KRW")
    assert [a.query for a in venue_server.of("GET /v1/order")] == [
        {"client_order_id": "sx-1"},
        {"uuid": "C01"},
    ]
    full = [ORDER | {"uuid": f"C{n}", "client_order_id": f"sx-{n}"} for n in range(100)]
    venue_server.on("GET /v1/orders", full, [ORDER])
    assert len(await client.open_orders("KRW-BTC")) == 100 + 1
    assert [a.query["page"] for a in venue_server.of("GET /v1/orders")] == ["1", "2"]
    venue_server.on("DELETE /v2/order", {"order_id": "C01", "created_at": "2026-07-04T14:39:04+09:00"})
    await client.cancel("KRW-BTC", "sx-1", None)
    await client.cancel("KRW-BTC", "sx-1", "C01")
    assert [a.query for a in venue_server.of("DELETE /v2/order")] == [
        {"client_order_id": "sx-1"},
        {"order_id": "C01"},
    ]


def no(name: str, status: int = 400) -> Answer:
    return Answer({"error": {"name": name, "message": "아니오"}}, status)


async def test_what_bithumb_says_no_to(client: BithumbClient, venue_server: VenueServer) -> None:
    venue_server.on("GET /v1/order", no("order_not_found", 404), no("order_not_ready", 422))
    assert await client.find("KRW-BTC", "sx-1", None) is None
    with pytest.raises(UnknownError):  # accepted, and still under way
        await client.find("KRW-BTC", "sx-1", None)
    venue_server.on("DELETE /v2/order", no("order_not_found", 404))
    with pytest.raises(RefusedError) as gone:
        await client.cancel("KRW-BTC", "sx-1", "C01")
    assert gone.value.code == "gone"
    venue_server.on(
        "POST /v2/orders", no("under_price_limit_bid"), no("insufficient_funds_bid"), no("NotAllowIP", 401)
    )
    for code in ("minimum", "balance", "address"):
        with pytest.raises(RefusedError) as refused:
            await client.create(SENT, soon())
        assert refused.value.code == code


async def test_the_rules_of_a_market_and_a_market_buy(
    client: BithumbClient, venue_server: VenueServer
) -> None:
    venue_server.on("GET /v1/orders/chance", CHANCE)
    venue_server.on("GET /v1/ticker", [{"market": "KRW-BTC", "trade_price": 9_500_000}])
    venue_server.on("POST /v2/orders", PLACED, status=201)
    await client.create(
        NewOrder("sx-1", "KRW-BTC", "buy", "market", D("0.001"), None, "ioc", False, D(9_500_000)), soon()
    )
    body = json.loads(venue_server.of("POST /v2/orders")[0].text)
    assert (body["order_type"], body["time_in_force"], body["price"]) == ("limit", "ioc", "9690000")
    market = await client.market("KRW-BTC")
    assert (market.min_notional, market.maker_fee, market.taker_fee) == (D(5000), D("0.0025"), D("0.0025"))
    assert dict(market.bands)[D(1_000_000)] == D(1000)


async def test_a_market_buy_whose_rules_are_not_told_is_certain_not_to_be_sent(
    client: BithumbClient, venue_server: VenueServer
) -> None:
    venue_server.on("GET /v1/orders/chance", "{")
    with pytest.raises(Exception, match="not understood") as unsent:
        await client.create(
            NewOrder("sx-1", "KRW-BTC", "buy", "market", D("0.001"), None, "ioc", False, D(9_500_000)), soon()
        )
    assert type(unsent.value).__name__ == "TransientError"
    assert venue_server.of("POST /v2/orders") == []


async def test_the_clock_is_read_from_the_answers_date(
    client: BithumbClient, venue_server: VenueServer
) -> None:
    venue_server.on("GET /v1/ticker", [])
    assert abs(await client.clock_offset_ns()) < 5_000_000_000
    venue_server.on("GET /v1/ticker", [], headers={"Date": "Mon, 23 Nov 2020 04:05:54 GMT"})
    assert await client.clock_offset_ns() < -1_000_000_000
