"""Faults by script, as the real ccxt client meets them, and the admin interface that adds them."""

from __future__ import annotations

import asyncio
import base64
import json
from decimal import Decimal as D

import aiohttp
import ccxt
import pytest

from sigma_bot.emulator.server import Emulator
from sigma_bot.errors import BadInputError


def order(em):
    """What to send: a limit buy that rests."""
    symbol, price = ("BTC/USDT", 49_000) if em.venue == "binance" else ("BTC/KRW", 66_000_000)
    return symbol, "limit", "buy", 0.1, price, {"clientOrderId": "sx-1"}


async def look_up(em, client):
    """The order at the venue by its client id, None when the venue does not know it."""
    try:
        if em.venue == "binance":
            return await client.fetch_order(None, "BTC/USDT", {"origClientOrderId": "sx-1"})
        return await client.privateGetOrder({"identifier": "sx-1"})
    except ccxt.OrderNotFound:
        return None


class TestAnswers:
    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_an_answer_is_lost_before_or_after_acceptance(self, venue, when):
        em, client = venue
        em.faults.add("order.create", "drop", when=when)
        with pytest.raises(ccxt.NetworkError):
            await client.create_order(*order(em))
        assert (await look_up(em, client) is not None) == (when == "after")
        assert len(em.exchange.orders) == (when == "after")

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_a_5xx_before_or_after_acceptance(self, venue, when):
        em, client = venue
        em.faults.add("order.create", "answer", when=when, status=504, body="<html>")
        with pytest.raises(ccxt.NetworkError):
            await client.create_order(*order(em))
        assert len(em.exchange.orders) == (when == "after")
        assert (await look_up(em, client) is not None) == (when == "after")

    async def test_an_answer_comes_too_late_and_the_order_is_there(self, venue):
        em, client = venue
        client.timeout = 50
        fault = em.faults.add("order.create", "hold", when="after")
        with pytest.raises(ccxt.RequestTimeout):
            await client.create_order(*order(em))
        assert fault.reached.is_set()
        assert len(em.exchange.orders) == 1

    async def test_a_request_that_arrives_after_its_client_gave_up_is_still_carried_out(self, venue):
        em, client = venue
        client.timeout = 50
        fault = em.faults.add("order.create", "hold")
        with pytest.raises(ccxt.RequestTimeout):
            await client.create_order(*order(em))
        assert not em.exchange.orders
        fault.release()
        while not em.exchange.orders:
            await asyncio.sleep(0)
        client.timeout = 10_000
        assert await look_up(em, client) is not None

    async def test_limits_and_bans_without_reaching_them(self, venue):
        em, client = venue
        em.faults.add("order.create", "limit", seconds=7)
        with pytest.raises((ccxt.DDoSProtection, ccxt.ExchangeError), match="request"):
            await client.create_order(*order(em))
        em.faults.add("order", "ban", seconds=60)
        with pytest.raises((ccxt.DDoSProtection, ccxt.ExchangeError)):
            await client.create_order(*order(em))
        async with aiohttp.ClientSession() as session:
            path = "/api/v3/time" if em.venue == "binance" else "/v1/market/all"
            async with session.get(em.url + path) as answer:
                assert answer.status == 418
        assert not em.exchange.orders

    async def test_maintenance_is_a_fault_of_every_request_until_it_is_taken_away(self, venue):
        em, client = venue
        em.faults.add("*", "answer", times=0, status=503, body='{"msg":"maintenance"}')
        for _ in range(3):
            with pytest.raises(ccxt.BaseError):
                await client.fetch_balance()
        em.faults.clear()
        assert (await client.fetch_balance())["BTC"]["free"] == 1.0

    @pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"a":NaN}', b"\xff\x00\x9c", '"x"', "1e999"])
    async def test_any_text_or_bytes_can_be_the_answer(self, venue, body):
        em, _ = venue
        em.faults.add("order.create", "answer", status=200, body=body)
        async with aiohttp.ClientSession() as session:
            path = "/api/v3/order" if em.venue == "binance" else "/v1/orders"
            async with session.post(em.url + path) as answer:
                assert await answer.read() == (body if isinstance(body, bytes) else body.encode())

    async def test_skip_and_times_choose_the_occasion(self, venue):
        em, client = venue
        fault = em.faults.add("account", "answer", skip=1, times=2, status=500)
        results = []
        for _ in range(5):
            try:
                results.append("BTC" in await client.fetch_balance())
            except ccxt.BaseError:
                results.append(None)  # type: ignore[arg-type]
        assert results == [True, None, None, True, True]
        assert fault.hits == 2

    async def test_an_unlisted_or_suspended_market(self, venue):
        em, client = venue
        code = "BTCUSDT" if em.venue == "binance" else "KRW-BTC"
        for status in ("suspended", "delisted"):
            em.exchange.markets[code].status = status
            with pytest.raises(ccxt.BaseError):
                await client.create_order(*order(em))
        assert not em.exchange.orders


class TestEvents:
    """What a listener of the private stream receives, raw."""

    @pytest.fixture
    async def socket(self, venue):
        em, client = venue
        async with aiohttp.ClientSession() as session:
            if em.venue == "binance":
                ws = await session.ws_connect(em.url + "/ws-api/v3")
                method, params = "userDataStream.subscribe.signature", client.sign_params({})
                await ws.send_json({"id": 1, "method": method, "params": params})
                await ws.receive()
            else:
                client.authenticate()
                headers = client.options["ws"]["options"]["headers"]
                ws = await session.ws_connect(em.url + "/websocket/v1/private", headers=headers)
                await ws.send_str('[{"ticket":"t"},{"type":"myOrder"}]')
                await ws.send_str("PING")
                await ws.receive()
            yield ws

    @staticmethod
    async def states(ws, count: int) -> list[str]:
        found: list[str] = []
        while len(found) < count:
            message = json.loads((await ws.receive()).data)
            event = message.get("event", message)
            if event.get("e") != "outboundAccountPosition":
                found.append(event.get("x") or event.get("state"))
        return found

    NAMES = {"binance": ("NEW", "TRADE", "CANCELED"), "upbit": ("wait", "trade", "cancel")}

    async def live(self, em, client) -> None:
        """An order that is accepted, filled in part and cancelled."""
        symbol, kind, side, amount, price, more = order(em)
        made = await client.create_order(symbol, kind, side, amount, price, more)
        code = "BTCUSDT" if em.venue == "binance" else "KRW-BTC"
        em.exchange.trade(code, D(price), D("0.05"), "sell")
        await client.cancel_order(made["id"], symbol)

    async def test_unspoilt(self, venue, socket):
        em, client = venue
        await self.live(em, client)
        assert await self.states(socket, 3) == list(self.NAMES[em.venue])

    async def test_twice(self, venue, socket):
        em, client = venue
        em.faults.add("event.fill", "duplicate")
        await self.live(em, client)
        new, trade, cancel = self.NAMES[em.venue]
        assert await self.states(socket, 4) == [new, trade, trade, cancel]

    async def test_never(self, venue, socket):
        em, client = venue
        em.faults.add("event.fill", "drop")
        await self.live(em, client)
        new, _, cancel = self.NAMES[em.venue]
        assert await self.states(socket, 2) == [new, cancel]

    async def test_out_of_order(self, venue, socket):
        em, client = venue
        # Binance tells balances in between: the next event of an order is two further on
        em.faults.add("event.asset", "drop", times=0)
        em.faults.add("event.order", "swap")
        await self.live(em, client)
        new, trade, cancel = self.NAMES[em.venue]
        assert await self.states(socket, 3) == [trade, new, cancel]

    async def test_late(self, venue, socket):
        em, client = venue
        fault = em.faults.add("event.fill", "hold")
        await self.live(em, client)
        new, trade, cancel = self.NAMES[em.venue]
        assert await self.states(socket, 2) == [new, cancel]
        fault.release()
        assert await self.states(socket, 1) == [trade]

    async def test_something_else(self, venue, socket):
        em, client = venue
        em.faults.add("event.order", "answer", body=b"\x00\x01 no JSON")
        await client.create_order(*order(em))
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.BINARY, b"\x00\x01 no JSON")

    async def test_the_line_is_cut(self, venue, socket):
        em, client = venue
        em.faults.add("event.order", "cut")
        await client.create_order(*order(em))
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        while em.protocol.streams.hub.sockets:
            await asyncio.sleep(0)
        assert len(em.exchange.orders) == 1

    async def test_the_line_falls_silent(self, venue, socket):
        em, client = venue
        em.faults.add("event.order", "silence")
        await self.live(em, client)
        await socket.ping()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.receive(), 0.1)
        assert em.protocol.streams.hub.sockets[0].silent

    async def test_no_line_at_all(self, venue):
        em, _ = venue
        em.faults.add("connect", "answer", status=502)
        async with aiohttp.ClientSession() as session:
            path = "/ws" if em.venue == "binance" else "/websocket/v1"
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(em.url + path)
            await session.ws_connect(em.url + path)


def test_an_unknown_fault_is_refused():
    with pytest.raises(BadInputError, match="did you mean 'delay'"):
        Emulator().faults.add("order.create", "dely")
    with pytest.raises(BadInputError, match="duplicate"):
        Emulator().faults.add("order.create", "duplicate")
    with pytest.raises(BadInputError, match="before or after"):
        Emulator().faults.add("order.create", "drop", when="during")


class TestAdmin:
    @staticmethod
    async def ask(em, method: str, path: str, body: object = None) -> tuple[int, dict]:
        url = f"{em.url}/_emulator/{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as answer:
            return answer.status, await answer.json()

    async def test_another_process_sees_and_sets_everything(self, venue):
        em, client = venue
        code = "BTCUSDT" if em.venue == "binance" else "KRW-BTC"
        price = str(order(em)[4])
        await client.create_order(*order(em))
        _, fault = await self.ask(em, "POST", "faults", {"on": "order.cancel", "action": "hold"})
        trade = {"trade": {"price": price, "size": "0.04", "taker": "sell"}}
        assert (await self.ask(em, "POST", f"markets/{code}", trade))[0] == 200
        _, account = await self.ask(em, "GET", "accounts/main")
        (shown,), (fill,) = account["orders"], account["fills"]
        assert (shown["client_id"], shown["status"], shown["executed"]) == ("sx-1", "open", "0.04")
        assert (fill["price"], fill["quantity"], fill["maker"]) == (price, "0.04", True)
        held = em.exchange.accounts["main"].holdings
        assert account["balances"] == {
            c: {"free": format(h.free.normalize(), "f"), "locked": format(h.locked.normalize(), "f")}
            for c, h in held.items()
        }
        cancel = asyncio.create_task(client.cancel_order(shown["number"], order(em)[0]))
        if em.venue == "upbit":
            cancel.cancel()
            cancel = asyncio.create_task(client.privateDeleteOrder({"identifier": "sx-1"}))
        status, met = await self.ask(em, "GET", f"faults/{fault['number']}")
        assert (status, met["hits"]) == (200, 1)
        await self.ask(em, "POST", f"faults/{fault['number']}/release")
        await cancel
        _, account = await self.ask(em, "GET", "accounts/main")
        assert account["orders"][0]["status"] == "cancelled"

    async def test_markets_money_keys_clock_and_sockets(self, venue):
        em, client = venue
        code = "BTCUSDT" if em.venue == "binance" else "KRW-BTC"
        await self.ask(em, "POST", f"markets/{code}", {"bids": [["10", "1"]], "asks": [["11", "2"]]})
        await self.ask(em, "POST", f"markets/{code}", {"status": "suspended"})
        _, state = await self.ask(em, "GET", "state")
        assert state["markets"][code] == {"status": "suspended", "bid": ["10", "1"], "ask": ["11", "2"]}
        _, balances = await self.ask(em, "POST", "deposit/main", {"currency": "BTC", "amount": "-0.25"})
        assert balances["BTC"]["free"] == "0.75"
        _, key = await self.ask(em, "POST", "accounts", {"name": "two", "balances": {"BTC": "3"}})
        client.apiKey, client.secret = key["key"], key["secret"]
        assert (await client.fetch_balance())["BTC"]["free"] == 3.0
        await self.ask(em, "POST", "clock", {"skew_ms": 86_400_000})
        if em.venue == "binance":
            assert await client.fetch_time() > client.milliseconds() + 86_000_000
        async with aiohttp.ClientSession() as session:
            ws = await session.ws_connect(em.url + ("/ws" if em.venue == "binance" else "/websocket/v1"))
            await self.ask(em, "DELETE", "sockets")
            assert (await ws.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

    async def test_bytes_come_by_base64(self, venue):
        em, _ = venue
        body = base64.b64encode(b"\xff\xfe").decode()
        fault = {"on": "*", "action": "answer", "status": 200, "body64": body}
        await self.ask(em, "POST", "faults", fault)
        async with aiohttp.ClientSession() as session, session.get(em.url + "/v1/accounts") as answer:
            assert await answer.read() == b"\xff\xfe"

    @pytest.mark.parametrize(
        ("method", "path", "body", "word"),
        [
            ("POST", "faults", {"on": "order", "action": "explode"}, "none of"),
            ("POST", "faults", {"on": "order", "action": "drop", "wen": "after"}, "wen"),
            ("POST", "faults", [1], "JSON object"),
            ("GET", "faults/99", None, "no fault 99"),
            ("GET", "accounts/nobody", None, "nobody"),
            ("POST", "deposit/main", {"currency": "BTC", "amount": "much"}, "Invalid"),
            ("POST", "player", {"paused": True}, "replays nothing"),
        ],
    )
    async def test_what_is_wrong_is_said(self, venue, method, path, body, word):
        status, answer = await self.ask(venue[0], method, path, body)
        assert status == 400
        assert word in answer["error"]
