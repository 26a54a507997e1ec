"""The Upbit face, asked by the real ccxt client."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import uuid
from decimal import Decimal as D

import aiohttp
import ccxt
import pytest

from sigma_bot.emulator.accounts import Key

SYMBOL, CODE = "BTC/KRW", "KRW-BTC"


def token(key: str, secret: str, query: str = "", algorithm: str = "HS512", **claims: str) -> str:
    """A JWT as Upbit's documentation makes it."""

    def packed(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    claims = {"access_key": key, "nonce": str(uuid.uuid4())} | claims
    if query:
        claims |= {"query_hash": hashlib.sha512(query.encode()).hexdigest(), "query_hash_alg": "SHA512"}
    head = (
        packed(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
        + "."
        + packed(json.dumps(claims).encode())
    )
    digest = {"HS256": hashlib.sha256, "HS512": hashlib.sha512}[algorithm]
    return f"Bearer {head}.{packed(hmac.new(secret.encode(), head.encode(), digest).digest())}"


async def asked(em, method: str, path: str, query: str = "", authorization: str = "") -> tuple[int, dict]:
    url = f"{em.url}{path}" + (f"?{query}" if query else "")
    headers = {"Authorization": authorization}
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_an_order_from_its_creation_to_its_end(upbit):
    _, client = upbit
    created = await client.create_order(SYMBOL, "limit", "buy", 0.6, 67_001_000, {"clientOrderId": "sx-1"})
    assert (created["status"], created["filled"], created["info"]["state"]) == ("open", 0.0, "wait")
    found = await client.fetch_order(created["id"], SYMBOL)
    assert (found["filled"], found["remaining"], found["clientOrderId"]) == (0.5, 0.1, "sx-1")
    (trade,) = found["trades"]
    assert (trade["price"], trade["amount"], trade["cost"]) == (67_001_000.0, 0.5, 33_500_500.0)
    info = found["info"]
    assert D(info["paid_fee"]) == D("16750.25")
    assert D(info["locked"]) == D("0.1") * 67_001_000 * D("1.0005")
    assert D(info["remaining_fee"]) == D("0.1") * 67_001_000 * D("0.0005")
    assert D(info["reserved_fee"]) == D("0.6") * 67_001_000 * D("0.0005")
    by_name = await client.privateGetOrder({"identifier": "sx-1"})
    assert by_name["uuid"] == created["id"]
    assert [o["id"] for o in await client.fetch_open_orders(SYMBOL)] == [created["id"]]
    assert (await client.cancel_order(created["id"]))["info"]["state"] == "wait"
    assert (await client.fetch_order(created["id"]))["status"] == "canceled"
    assert [o["id"] for o in await client.fetch_canceled_orders(SYMBOL)] == [created["id"]]
    balance = await client.fetch_balance()
    assert balance["KRW"]["free"] == 100_000_000 - 33_500_500 - 16_750.25
    assert balance["KRW"]["used"] == 0


async def test_market_orders_by_money_and_by_volume(upbit):
    _, client = upbit
    bought = await client.create_order(SYMBOL, "market", "buy", None, None, {"cost": 100_000})
    bought = await client.fetch_order(bought["id"])
    # dust is left of nearly every order by money, and then it ends as cancelled
    assert (bought["status"], bought["filled"]) == ("canceled", 0.00149251)
    sold = await client.create_order(SYMBOL, "market", "sell", 0.5)
    sold = await client.fetch_order(sold["id"])
    assert (sold["status"], sold["cost"], D(sold["fee"]["cost"])) == ("closed", 33_500_000.0, 16_750)


@pytest.mark.parametrize(
    ("order", "error", "word"),
    [
        (("limit", "buy", 1, 67_000_001), ccxt.ExchangeError, "invalid_price_bid"),
        (("limit", "sell", 1, 67_000_001), ccxt.ExchangeError, "invalid_price_ask"),
        (("limit", "buy", 0.00001, 1000), ccxt.ExchangeError, "under_min_total_bid"),
        (("limit", "buy", 1000, 67_000_000), ccxt.InsufficientFunds, "insufficient_funds_bid"),
        (("limit", "sell", 1000, 67_000_000), ccxt.InsufficientFunds, "insufficient_funds_ask"),
    ],
)
async def test_refusals_are_the_venues(upbit, order, error, word):
    em, client = upbit
    with pytest.raises(error, match=word):
        await client.create_order(SYMBOL, *order)
    assert not em.exchange.orders


async def test_an_identifier_is_good_for_one_request_for_ever(upbit):
    _, client = upbit
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order(SYMBOL, "limit", "buy", 100, 67_000_000, {"clientOrderId": "sx-1"})
    with pytest.raises(ccxt.ExchangeError, match="identifier"):
        await client.create_order(SYMBOL, "limit", "buy", 0.1, 67_000_000, {"clientOrderId": "sx-1"})
    with pytest.raises(ccxt.OrderNotFound):
        await client.privateGetOrder({"identifier": "sx-1"})


async def test_orders_of_other_kinds(upbit):
    _, client = upbit
    for more, state, filled in (
        ({"timeInForce": "IOC"}, "canceled", 0.5),
        ({"timeInForce": "FOK"}, "canceled", 0.0),
        ({"postOnly": True}, "canceled", 0.0),
    ):
        order = await client.create_order(SYMBOL, "limit", "buy", 0.6, 67_001_000, more)
        order = await client.fetch_order(order["id"])
        # the first takes what is there, so the next ones find nothing at their price
        assert (order["status"], order["filled"]) == (state, filled), more
        if more == {"timeInForce": "IOC"}:
            upbit[0].exchange.change_book(CODE, {}, {D(67_001_000): D("0.5")})
    best = await client.create_order(
        SYMBOL, "limit", "sell", 0.1, 1, {"ordType": "best", "timeInForce": "IOC"}
    )
    assert (await client.fetch_order(best["id"]))["filled"] == 0.1


async def test_cancel_and_new_puts_another_order_in_the_place_of_one(upbit):
    _, client = upbit
    first = await client.create_order(SYMBOL, "limit", "buy", 0.1, 66_000_000)
    second = await client.privatePostOrdersCancelAndNew(
        {
            "prev_order_uuid": first["id"],
            "new_ord_type": "limit",
            "new_volume": "0.2",
            "new_price": "65000000",
        }
    )
    assert (await client.fetch_order(first["id"]))["status"] == "canceled"
    found = await client.fetch_order(second["new_order_uuid"])
    assert (found["amount"], found["price"], found["status"]) == (0.2, 65_000_000.0, "open")


async def test_private_events_tell_of_orders_fills_and_balances(upbit):
    em, client = upbit
    await client.load_markets()
    orders = asyncio.create_task(client.watch_orders(SYMBOL))
    trades = asyncio.create_task(client.watch_my_trades(SYMBOL))
    balance = asyncio.create_task(client.watch_balance())
    while not any({"myOrder", "myAsset"} <= set(s.topics) for s in em.protocol.streams.hub.sockets):
        await asyncio.sleep(0)
    order = await client.create_order(SYMBOL, "limit", "buy", 0.5, 67_001_000, {"clientOrderId": "sx-1"})
    (trade,) = await trades
    assert (trade["order"], trade["amount"], trade["price"]) == (order["id"], 0.5, 67_001_000.0)
    assert (trade["fee"], trade["takerOrMaker"]) == ({"currency": "KRW", "cost": 16_750.25}, "taker")
    seen = (await orders)[-1]
    assert (seen["id"], seen["clientOrderId"]) == (order["id"], "sx-1")
    while seen["status"] != "closed":
        seen = (await client.watch_orders(SYMBOL))[-1]
    assert (await balance)["KRW"]["used"] is not None
    looked_up = await client.fetch_order(order["id"])
    assert looked_up["trades"][0]["id"] == trade["id"]


async def test_events_are_binary_and_in_order(upbit):
    em, client = upbit
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": token(em.key, em.secret)}
        async with session.ws_connect(em.url + "/websocket/v1/private", headers=headers) as ws:
            await ws.send_json([{"ticket": "t"}, {"type": "myOrder"}])
            await ws.send_str("PING")
            assert json.loads((await ws.receive()).data) == {"status": "UP"}
            await client.create_order(SYMBOL, "limit", "buy", 0.7, 67_001_000)
            messages = [await ws.receive() for _ in range(2)]
            em.exchange.trade(CODE, D(67_000_000), D(1), "sell")
            messages += [await ws.receive() for _ in range(2)]
    assert {m.type for m in messages} == {aiohttp.WSMsgType.BINARY}
    events = [json.loads(m.data, parse_float=D) for m in messages]
    assert [e["state"] for e in events] == ["wait", "trade", "trade", "done"]
    assert [e["is_maker"] for e in events] == [None, False, True, None]
    assert [e["volume"] for e in events[1:3]] == [D("0.5"), D("0.2")]
    assert [e["paid_fee"] for e in events[1:3]] == [D("16750.25"), D("16750.25") + D("6700.1")]
    assert len({e["trade_uuid"] for e in events}) == 3


async def test_public_streams_reach_the_client(upbit):
    em, client = upbit
    em.exchange.trade(CODE, D(67_000_000), D("0.1"), "sell")
    book = await client.watch_order_book(SYMBOL)
    assert (book["bids"][0], book["asks"][0]) == ([67_000_000.0, 1.0], [67_001_000.0, 0.5])
    (first,) = await client.watch_trades(SYMBOL)
    trades = asyncio.create_task(client.watch_trades(SYMBOL))
    await asyncio.sleep(0)
    em.exchange.trade(CODE, D(67_001_000), D("0.25"), "buy")
    trade = (await trades)[-1]
    assert (first["side"], trade["side"], trade["price"], trade["amount"]) == (
        "sell",
        "buy",
        67_001_000.0,
        0.25,
    )
    assert (await client.watch_ticker(SYMBOL))["last"] == 67_001_000.0


async def test_quotations(upbit):
    em, client = upbit
    em.exchange.trade(CODE, D(67_000_000), D("0.1"), "sell")
    em.exchange.trade(CODE, D(67_001_000), D("0.3"), "buy")
    assert [t["price"] for t in await client.fetch_trades(SYMBOL, limit=5)] == [67_000_000.0, 67_001_000.0]
    bar = (await client.fetch_ohlcv(SYMBOL, limit=1))[-1]
    assert bar[1:] == [67_000_000.0, 67_001_000.0, 67_000_000.0, 67_001_000.0, 0.4]
    assert (await client.fetch_ticker(SYMBOL))["last"] == 67_001_000.0
    book = await client.fetch_order_book(SYMBOL, 1)
    assert (len(book["bids"]), book["asks"][0]) == (1, [67_001_000.0, 0.5])
    (rule,) = await client.publicGetOrderbookInstruments({"markets": CODE})
    assert float(rule["tick_size"]) == 1000
    assert (await client.fetch_trading_fee(SYMBOL))["taker"] == 0.0005
    for query in ("market=KRW-BTC&count=x", "market=KRW-BTC&count=0"):
        status, body = await asked(em, "GET", "/v1/trades/ticks", query)
        assert (status, body["error"]["name"]) == (400, "validation_error")
    with pytest.raises(ccxt.ExchangeError, match="404"):
        await client.publicGetTicker({"markets": "KRW-NIX"})


class TestTokens:
    async def test_both_algorithms_are_taken(self, upbit):
        em, _ = upbit
        for algorithm in ("HS256", "HS512"):
            status, _ = await asked(em, "GET", "/v1/accounts", "", token(em.key, em.secret, "", algorithm))
            assert status == 200

    @pytest.mark.parametrize(
        ("make", "name"),
        [
            (lambda em: "", "jwt_verification"),
            (lambda em: "Bearer a.b.c", "jwt_verification"),
            (lambda em: token(em.key, "wrong", "market=KRW-BTC"), "jwt_verification"),
            (lambda em: token("nobody", em.secret, "market=KRW-BTC"), "invalid_access_key"),
            (lambda em: token(em.key, em.secret), "invalid_query_payload"),
            (lambda em: token(em.key, em.secret, "market=KRW-ETH"), "invalid_query_payload"),
        ],
    )
    async def test_a_bad_token_is_refused_by_name(self, upbit, make, name):
        em, _ = upbit
        status, body = await asked(em, "GET", "/v1/orders/chance", "market=KRW-BTC", make(em))
        assert (status, body["error"]["name"]) == (401, name)

    async def test_a_nonce_is_good_once(self, upbit):
        em, _ = upbit
        used = token(em.key, em.secret)
        assert (await asked(em, "GET", "/v1/accounts", "", used))[0] == 200
        status, body = await asked(em, "GET", "/v1/accounts", "", used)
        assert (status, body["error"]["name"]) == (401, "nonce_used")

    @pytest.mark.parametrize(
        ("fault", "name"),
        [
            ({"expired": True}, "expired_access_key"),
            ({"address": "10.0.0.1"}, "no_authorization_i_p"),
            ({"trade": False}, "out_of_scope"),
        ],
    )
    async def test_a_key_that_may_not_is_refused(self, upbit, fault, name):
        em, client = upbit
        em.exchange.keys["k2"] = Key("k2", "s2", "main", **fault)
        client.apiKey, client.secret = "k2", "s2"
        with pytest.raises(ccxt.BaseError, match=name):
            await client.create_order(SYMBOL, "limit", "buy", 0.1, 60_000_000)
        assert not em.exchange.orders

    async def test_a_socket_without_a_good_token_is_not_opened(self, upbit):
        em, _ = upbit
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(
                    em.url + "/websocket/v1/private", headers={"Authorization": token(em.key, "wrong")}
                )
        assert caught.value.status == 401


@pytest.mark.parametrize(
    ("request_text", "name"),
    [
        ("nonsense", "WRONG_FORMAT"),
        ('[{"type":"trade","codes":["KRW-BTC"]}]', "NO_TICKET"),
        ('[{"ticket":"t"}]', "NO_TYPE"),
        ('[{"ticket":"t"},{"type":"trade"}]', "NO_CODES"),
        ('[{"ticket":"t"},{"type":"myOrder"}]', "INVALID_AUTH"),
        ('[{"ticket":"t"},{"type":"candle.7y","codes":["KRW-BTC"]}]', "INVALID_PARAM"),
    ],
)
async def test_a_wrong_subscription_is_told_by_name(upbit, request_text, name):
    em, _ = upbit
    async with aiohttp.ClientSession() as session, session.ws_connect(em.url + "/websocket/v1") as ws:
        await ws.send_str(request_text)
        assert json.loads((await ws.receive()).data)["error"]["name"] == name


async def test_requests_a_second_are_counted_refused_and_then_punished(upbit):
    em, client = upbit
    await client.load_markets()
    assert client.last_response_headers["remaining-req"] == "group=market; min=1800; sec=9"
    em.limiter.patience = 1
    em.exchange.skew_ns = -em.exchange.now() % 1_000_000_000  # the second begins now
    statuses = []
    for _ in range(12):
        statuses.append((await asked(em, "GET", "/v1/market/all"))[0])
        if em.exchange.now() % 1_000_000_000 > 900_000_000:
            pytest.skip("the machine took longer than the interval that is tested")
    assert statuses == [200] * 10 + [429, 418]
    em.exchange.skew_ns += 200_000_000_000
    assert (await asked(em, "GET", "/v1/market/all"))[0] == 200
