"""The Binance protocol, asked by the real ccxt client."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from decimal import Decimal as D

import aiohttp
import ccxt
import pytest

from sigma_bot.emulator.accounts import Key

SYMBOL = "BTC/USDT"


async def test_the_client_learns_the_markets_rules(binance):
    em, client = binance
    await client.load_markets()
    market = client.markets[SYMBOL]
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.01, 0.00001)
    assert (market["limits"]["amount"]["min"], market["limits"]["cost"]["min"]) == (0.00001, 5.0)
    assert market["active"]
    em.exchange.markets["BTCUSDT"].status = "suspended"
    assert not (await client.load_markets(True))[SYMBOL]["active"]
    em.exchange.markets["BTCUSDT"].status = "delisted"
    assert SYMBOL not in await client.load_markets(True)


async def test_an_order_from_its_creation_to_its_end(binance):
    _, client = binance
    created = await client.create_order(SYMBOL, "limit", "buy", 0.6, 50001, {"clientOrderId": "sx-1"})
    assert (created["status"], created["filled"], created["average"]) == ("open", 0.5, 50001.0)
    assert created["fees"] == [{"currency": "BTC", "cost": 0.0005}]
    found = await client.fetch_order(None, SYMBOL, {"origClientOrderId": "sx-1"})
    assert (found["id"], found["remaining"]) == (created["id"], 0.1)
    assert [o["id"] for o in await client.fetch_open_orders(SYMBOL)] == [created["id"]]
    (trade,) = await client.fetch_my_trades(SYMBOL)
    assert (trade["price"], trade["amount"], trade["takerOrMaker"]) == (50001.0, 0.5, "taker")
    assert trade["id"] == created["trades"][0]["id"]
    assert (await client.cancel_order(created["id"], SYMBOL))["status"] == "canceled"
    assert (await client.fetch_order(created["id"], SYMBOL))["status"] == "canceled"
    assert await client.fetch_open_orders(SYMBOL) == []
    balance = await client.fetch_balance()
    assert balance["USDT"] == {"free": 74999.5, "used": 0.0, "total": 74999.5}
    assert balance["BTC"]["free"] == 1.4995


async def test_orders_by_money_market_orders_and_the_answers_forms(binance):
    _, client = binance
    spent = await client.create_order(SYMBOL, "market", "buy", 1, None, {"cost": 1000})
    assert (spent["status"], spent["filled"]) == ("closed", 0.01999)
    sold = await client.create_order(SYMBOL, "market", "sell", 0.5)
    assert (sold["status"], sold["fees"]) == ("closed", [{"currency": "USDT", "cost": 25.0}])
    ack = await client.create_order(SYMBOL, "limit", "buy", 0.1, 49000, {"newOrderRespType": "ACK"})
    assert set(ack["info"]) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        await client.create_order(SYMBOL, "limit", "buy", 0.1, 60000, {"postOnly": True})


@pytest.mark.parametrize(
    ("order", "error", "word"),
    [
        (("limit", "buy", 1, 1), ccxt.InvalidOrder, "PERCENT_PRICE"),
        (("limit", "buy", 100, 50000), ccxt.InsufficientFunds, "insufficient balance"),
        (("limit", "buy", 0.00002, 50000), ccxt.BadRequest, "NOTIONAL"),
        (("limit", "sell", 9001, 50000), ccxt.InvalidOrder, "lot size"),
    ],
)
async def test_refusals_are_the_venues(binance, order, error, word):
    em, client = binance
    with pytest.raises(error, match=word):
        await client.create_order(SYMBOL, *order)
    assert not em.exchange.orders


async def test_a_client_id_is_refused_while_its_order_is_open_and_taken_again_afterwards(binance):
    _, client = binance
    same = {"clientOrderId": "sx-1"}
    await client.create_order(SYMBOL, "limit", "buy", 0.1, 49000, same)
    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order"):
        await client.create_order(SYMBOL, "limit", "buy", 0.1, 49000, same)
    await client.cancel_order(None, SYMBOL, {"origClientOrderId": "sx-1"})
    assert (await client.create_order(SYMBOL, "limit", "buy", 0.1, 49000, same))["status"] == "open"


async def test_what_is_not_there_is_said_so(binance):
    _, client = binance
    with pytest.raises(ccxt.OrderNotFound):
        await client.fetch_order("4711", SYMBOL)
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order("4711", SYMBOL)
    with pytest.raises(ccxt.BadSymbol):
        await client.publicGetDepth({"symbol": "NIXUSDT"})


async def test_my_trades_come_in_pages(binance):
    em, client = binance
    for _ in range(7):
        em.exchange.set_book("BTCUSDT", {D(50000): D(1)}, {D(50001): D("0.5")})
        await client.create_order(SYMBOL, "market", "buy", 0.001)
    numbers = [str(f.number) for f in em.exchange.accounts["main"].fills()]
    seen: list[str] = []
    while True:
        start = int(seen[-1]) + 1 if seen else 0
        page = await client.fetch_my_trades(SYMBOL, None, 3, {"fromId": start})
        if not page:
            break
        assert len(page) <= 3
        seen += [t["id"] for t in page]
    assert seen == numbers
    assert [t["id"] for t in await client.fetch_my_trades(SYMBOL, None, 2)] == numbers[-2:]


async def test_private_events_tell_of_orders_fills_and_balances(binance):
    em, client = binance
    await client.load_markets()
    orders = asyncio.create_task(client.watch_orders(SYMBOL))
    trades = asyncio.create_task(client.watch_my_trades(SYMBOL))
    await subscribed(em)
    order = await client.create_order(SYMBOL, "limit", "buy", 0.6, 50001, {"clientOrderId": "sx-1"})
    (trade,) = await trades
    assert (trade["order"], trade["amount"], trade["fee"]) == (
        order["id"],
        0.5,
        {"currency": "BTC", "cost": 0.0005},
    )
    (seen,) = await orders
    assert (seen["id"], seen["clientOrderId"]) == (order["id"], "sx-1")
    orders = asyncio.create_task(client.watch_orders(SYMBOL))
    await client.cancel_order(order["id"], SYMBOL)
    (seen,) = await orders
    assert (seen["status"], seen["clientOrderId"], seen["filled"]) == ("canceled", "sx-1", 0.5)


async def test_the_books_numbers_form_an_unbroken_chain(binance):
    em, _ = binance
    async with aiohttp.ClientSession() as session, session.ws_connect(em.url + "/ws") as ws:
        await ws.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms"], "id": 7})
        assert await ws.receive_json() == {"result": None, "id": 7}
        async with session.get(em.url + "/api/v3/depth?symbol=BTCUSDT&limit=1000") as answer:
            snapshot = await answer.json()
        last, book = snapshot["lastUpdateId"], dict(snapshot["bids"] + snapshot["asks"])
        for step in range(3):
            em.exchange.change_book("BTCUSDT", {D(49990): D(step + 1), D(50000): D(step)}, {})
            message = await ws.receive_json()
            if step == 0:
                while message["u"] <= last:
                    message = await ws.receive_json()
                assert message["U"] <= last + 1 <= message["u"]
            else:
                assert message["U"] == last + 1
            last = message["u"]
            book |= dict(message["b"] + message["a"])
        shown = dict(em.exchange.markets["BTCUSDT"].levels("buy"))
        assert {D(p): D(q) for p, q in book.items() if D(p) <= 50000 and D(q)} == shown


async def test_public_streams_reach_the_client(binance):
    em, client = binance
    await client.load_markets()
    book = await client.watch_order_book(SYMBOL)
    assert (book["bids"][0], book["asks"][0]) == ([50000.0, 1.0], [50001.0, 0.5])
    trades = asyncio.create_task(client.watch_trades(SYMBOL))
    quotes = asyncio.create_task(client.watch_bids_asks([SYMBOL]))
    while not any("btcusdt@trade" in s.topics for s in em.protocol.streams.hub.sockets) or not any(
        "btcusdt@bookTicker" in s.topics for s in em.protocol.streams.hub.sockets
    ):
        await asyncio.sleep(0)
    em.exchange.trade("BTCUSDT", D(50001), D("0.25"), "sell")
    em.exchange.change_book("BTCUSDT", {D(50000): D(3)}, {})
    (trade,) = await trades
    assert (trade["price"], trade["amount"], trade["side"]) == (50001.0, 0.25, "sell")
    assert (await quotes)[SYMBOL]["bidVolume"] == 3.0
    while book["bids"][0] != [50000.0, 3.0]:
        book = await client.watch_order_book(SYMBOL)


class TestKeys:
    async def test_what_a_key_may_do_is_told(self, binance):
        em, client = binance
        em.exchange.keys[em.key].withdraw = True
        told = await client.sapi_get_account_apirestrictions()
        assert (told["enableWithdrawals"], told["enableSpotAndMarginTrading"], told["ipRestrict"]) == (
            True,
            True,
            False,
        )

    @pytest.mark.parametrize("fault", [{"expired": True}, {"address": "10.0.0.1"}, {"trade": False}])
    async def test_a_key_that_may_not_is_refused(self, binance, fault):
        em, client = binance
        em.exchange.keys["k2"] = Key("k2", "s2", "main", **fault)
        client.apiKey, client.secret = "k2", "s2"
        with pytest.raises(ccxt.AuthenticationError, match="-2015"):
            await client.create_order(SYMBOL, "limit", "buy", 0.1, 49000)
        assert not em.exchange.orders

    async def test_a_wrong_secret_is_refused_at_rest_and_socket(self, binance):
        em, client = binance
        await client.load_markets()
        client.secret = "wrong"
        with pytest.raises(ccxt.AuthenticationError, match="-1022"):
            await client.fetch_balance()
        subscribe = {
            "id": "1",
            "method": "userDataStream.subscribe.signature",
            "params": client.sign_params({}),
        }
        async with aiohttp.ClientSession() as session, session.ws_connect(em.url + "/ws-api/v3") as ws:
            await ws.send_json(subscribe)
            answer = await ws.receive_json()
        assert (answer["id"], answer["status"], answer["error"]["code"]) == ("1", 400, -1022)
        assert not any(s.account for s in em.protocol.streams.hub.sockets)

    @pytest.mark.parametrize("skew", [-12_000, 2_000, 8_000])
    async def test_a_request_out_of_its_time_is_refused(self, binance, skew):
        em, client = binance
        await client.load_markets()
        client.options["recvWindow"] = 5000
        em.exchange.skew_ns = -skew * 1_000_000
        with pytest.raises(ccxt.InvalidNonce, match="-1021"):
            await client.fetch_balance()

    async def test_the_time_of_a_request_counts_when_it_arrives(self, binance):
        em, client = binance
        await client.load_markets()
        client.options["recvWindow"] = 1000
        held = em.faults.add("order.create", "hold")
        order = asyncio.create_task(client.create_order(SYMBOL, "limit", "buy", 0.1, 49000))
        await held.reached.wait()
        em.exchange.skew_ns = 3_000_000_000
        held.release()
        with pytest.raises(ccxt.InvalidNonce):
            await order
        assert not em.exchange.orders


async def test_limits_are_told_then_enforced_then_punished(binance):
    em, client = binance
    await client.load_markets()
    assert int(client.last_response_headers["x-mbx-used-weight-1m"]) >= 20
    await client.create_order(SYMBOL, "limit", "buy", 0.1, 49000)
    assert client.last_response_headers["x-mbx-order-count-10s"] == "1"
    em.limiter.windows["weight"].limit = 0
    with pytest.raises(ccxt.DDoSProtection, match="-1003"):
        await client.fetch_balance()
    assert 1 <= int(client.last_response_headers["Retry-After"]) <= 60
    em.limiter.patience = 1
    with pytest.raises(ccxt.DDoSProtection, match="418"):
        await client.fetch_balance()
    em.limiter.windows["weight"].limit = 6000
    with pytest.raises(ccxt.DDoSProtection, match="banned until"):
        await client.fetch_balance()
    em.exchange.skew_ns = 300_000_000_000
    assert await client.publicGetTime()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"side": "LEFT"}, -1117),
        ({"type": "NONSENSE"}, -1116),
        ({"type": "STOP_LOSS"}, -2010),
        ({"timeInForce": "GTX"}, -1115),
        ({"quantity": "1e3"}, -1100),
        ({"quantity": "0.123456789"}, -1111),
        ({"quantity": None}, -1102),
        ({"newClientOrderId": "a b"}, -1100),
        ({"recvWindow": "60001"}, -1131),
    ],
)
async def test_a_malformed_order_is_told_what_is_wrong(binance, changed, code):
    em, _ = binance
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
    order |= {"price": "49000", "timestamp": str(int(time.time() * 1000))} | changed
    body = "&".join(f"{k}={v}" for k, v in order.items() if v is not None)
    signature = hmac.new(em.secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            em.url + "/api/v3/order",
            data=f"{body}&signature={signature}",
            headers={"X-MBX-APIKEY": em.key, "Content-Type": "application/x-www-form-urlencoded"},
        ) as answer,
    ):
        assert answer.status == 400
        assert json.loads(await answer.text())["code"] == code


async def subscribed(em) -> None:
    """Wait until a client listens to its account."""
    while not any(s.account for s in em.protocol.streams.hub.sockets):
        await asyncio.sleep(0)
