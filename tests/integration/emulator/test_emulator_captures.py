"""The emulator's messages beside real ones: the same keys, the same types, and the client reads the same
structures out of both."""

from __future__ import annotations

import ast
import asyncio
import gzip
import json
import zipfile
from collections.abc import Iterator
from contextlib import asynccontextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import aiohttp
import pytest


def kind(value: object) -> str:
    """The JSON type, with integers and fractions as one."""
    if isinstance(value, bool) or value is None:
        return str(type(value))
    return "number" if isinstance(value, int | float) else type(value).__name__


def same_shape(ours: Any, theirs: Any, where: str = "$") -> None:
    """Everything the real message has is in ours, with the same type; nulls fit anything."""
    if ours is None or theirs is None:
        return
    assert kind(ours) == kind(theirs), where
    if isinstance(theirs, dict):
        assert not set(theirs) - set(ours), where
        for key, value in theirs.items():
            same_shape(ours[key], value, f"{where}.{key}")
    if isinstance(theirs, list) and theirs and ours:
        if isinstance(theirs[0], list | dict):
            same_shape(ours[0], theirs[0], f"{where}[0]")
        elif len(theirs) > 2:  # a row of fields by position, such as a candle
            assert [kind(v) for v in ours] == [kind(v) for v in theirs], where


def same_structure(ours: dict, theirs: dict) -> None:
    """Two of the client's structures: the same fields, filled with the same types or empty in both."""
    ours, theirs = ({k: v for k, v in s.items() if k != "info"} for s in (ours, theirs))
    assert set(ours) == set(theirs)
    assert {k: kind(v) for k, v in ours.items()} == {k: kind(v) for k, v in theirs.items()}


def fixture(shared: Path, name: str) -> object:
    """An example of a Binance message."""
    with zipfile.ZipFile(shared / "protocol" / "binance_spot_nautilus_fixtures.zip") as held:
        return json.loads(held.read(name))


def captured(path: Path) -> Iterator[dict]:
    """The messages of a captured WebSocket; Upbit's lines hold Python bytes."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            _, _, text = line.partition(" ")
            text = text.strip()
            if text.startswith("b'"):
                text = ast.literal_eval(text).decode()
            if text.startswith("{"):
                yield json.loads(text)


async def get(em, path: str) -> object:
    async with aiohttp.ClientSession() as session, session.get(em.url + path) as answer:
        return await answer.json()


@asynccontextmanager
async def socket(em, path: str):
    async with aiohttp.ClientSession() as session, session.ws_connect(em.url + path) as ws:
        yield ws


@pytest.fixture
async def busy(binance):
    """A Binance where something has happened."""
    em, client = binance
    await client.load_markets()
    em.exchange.trade("BTCUSDT", D(50000), D("0.5"), "sell")
    made = await client.create_order("BTC/USDT", "limit", "buy", 0.6, 50001)
    return em, client, made["info"]


class TestBinance:
    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("/api/v3/time", "server_time_response"),
            ("/api/v3/depth?symbol=BTCUSDT", "depth_response"),
            ("/api/v3/trades?symbol=BTCUSDT", "trades_response"),
            ("/api/v3/klines?symbol=BTCUSDT&interval=1m", "klines_response"),
            ("/api/v3/ticker/24hr?symbol=BTCUSDT", "ticker_24hr_response"),
            ("/api/v3/ticker/price?symbol=BTCUSDT", "ticker_price_response"),
            ("/api/v3/ticker/bookTicker?symbol=BTCUSDT", "book_ticker_response"),
        ],
    )
    async def test_public_answers(self, busy, shared_data, path, name):
        em, _, _ = busy
        same_shape(await get(em, path), fixture(shared_data, f"rust/spot/http_json/{name}.json"))

    async def test_aggregate_trades(self, busy, shared_data):
        theirs = fixture(shared_data, "python/http_responses/http_spot_market_agg_trades.json")
        same_shape(await get(busy[0], "/api/v3/aggTrades?symbol=BTCUSDT"), theirs)

    async def test_exchange_info_and_its_filters(self, busy, shared_data):
        em, client, _ = busy
        ours = await get(em, "/api/v3/exchangeInfo")
        theirs = fixture(shared_data, "python/http_responses/http_spot_market_exchange_info.json")
        same_shape(ours["rateLimits"], theirs["rateLimits"])  # type: ignore[index]
        mine, real = ({f["filterType"]: f for f in i["symbols"][0]["filters"]} for i in (ours, theirs))  # type: ignore[index]
        # the fixture is of 2021; NOTIONAL has followed MIN_NOTIONAL, PERCENT_PRICE_BY_SIDE PERCENT_PRICE
        assert set(real) - set(mine) == {"MIN_NOTIONAL", "PERCENT_PRICE"}
        for name in set(real) & set(mine):
            same_shape(mine[name], real[name], name)
        same_structure(
            client.parse_market(ours["symbols"][0]),  # type: ignore[index]
            client.parse_market(theirs["symbols"][0]) | {"margin": False},  # type: ignore[index]
        )

    async def test_private_answers(self, busy, shared_data):
        _, client, made = busy
        where = "rust/spot/http_json"
        same_shape(made, fixture(shared_data, f"{where}/new_order_full_response.json"))
        which = {"symbol": "BTCUSDT", "orderId": made["orderId"]}
        for ours, name in (
            (await client.privateGetAccount(), "account_response"),
            (await client.privateGetMyTrades({"symbol": "BTCUSDT"}), "account_trades_response"),
            (await client.privateGetOpenOrders({"symbol": "BTCUSDT"}), "open_orders_response"),
            (await client.privateGetAllOrders({"symbol": "BTCUSDT"}), "all_orders_response"),
            (await client.privateGetOrder(which), "order_response"),
            (
                await client.privateDeleteOrder(which),
                "cancel_order_response",
            ),
        ):
            # the client reads every number as text, the fixture is read as JSON
            theirs = fixture(shared_data, f"{where}/{name}.json")
            same_shape(as_text(ours), as_text(theirs), name)

    async def test_execution_reports(self, binance, shared_data):
        em, client = binance
        where = "rust/spot/user_data_json"
        async with socket(em, "/ws-api/v3") as ws:
            method, params = "userDataStream.subscribe.signature", client.sign_params({})
            await ws.send_json({"id": 1, "method": method, "params": params})
            same_shape(
                await ws.receive_json(),
                {"id": 1, "status": 200, "result": {"subscriptionId": 0}, "rateLimits": []},
            )
            made = await client.create_order("BTC/USDT", "limit", "buy", 0.6, 50001)
            await client.cancel_order(made["id"], "BTC/USDT")
            await client.create_order("BTC/USDT", "limit", "buy", 0.6, 50000.01, {"timeInForce": "IOC"})
            seen: dict[str, dict] = {}
            while not {"NEW", "TRADE", "CANCELED", "EXPIRED", "position"} <= set(seen):
                message = await ws.receive_json()
                seen[message["event"].get("x", "position")] = message
        same_shape(seen["NEW"], fixture(shared_data, f"{where}/execution_report_wrapped.json"))
        for word, name in (("TRADE", "trade"), ("CANCELED", "canceled")):
            same_shape(seen[word]["event"], fixture(shared_data, f"{where}/execution_report_{name}.json"))
        same_shape(seen["position"], fixture(shared_data, f"{where}/account_position_wrapped.json"))

    async def test_market_streams_as_recorded(self, binance, shared_data):
        em, client = binance
        await client.load_markets()
        real: dict[str, dict] = {}
        for message in captured(shared_data / "hftbacktest" / "raw" / "spot_btcusdt_20240808.jsonl.gz"):
            if "stream" in message and message["data"].get("a") != []:
                real.setdefault(message["stream"], message)
            if len(real) == 3:
                break
        ours: dict[str, dict] = {}
        async with socket(em, f"/stream?streams={'/'.join(real)}") as ws:
            while not em.protocol.streams.hub.sockets:
                await asyncio.sleep(0)
            em.exchange.trade("BTCUSDT", D(50000), D("0.5"), "sell")
            em.exchange.change_book("BTCUSDT", {D(50000): D(3)}, {D(50001): D(0)})
            while len(ours) < 3:
                message = await ws.receive_json()
                ours[message["stream"]] = message
        for stream, theirs in real.items():
            assert set(ours[stream]["data"]) == set(theirs["data"]), stream
            same_shape(ours[stream], theirs, stream)
        trades = [client.parse_ws_trade(m["btcusdt@trade"]["data"]) for m in (ours, real)]
        same_structure(*trades)
        quotes = [client.parse_ws_ticker(m["btcusdt@bookTicker"]["data"], "spot") for m in (ours, real)]
        same_structure(*quotes)


class TestUpbit:
    @pytest.fixture
    async def upbit_busy(self, upbit):
        em, client = upbit
        await client.load_markets()
        em.exchange.trade("KRW-BTC", D(67_000_000), D("0.123"), "sell")
        return em, client

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("/v1/orderbook?markets=KRW-BTC", "GetOrderBook"),
            ("/v1/orderbook/instruments?markets=KRW-BTC", "GetSymbolConfig"),
            ("/v1/market/all?is_details=true", "GetSymbols"),
            ("/v1/trades/ticks?market=KRW-BTC", "GetTradeHistory"),
        ],
    )
    async def test_public_answers(self, upbit_busy, shared_data, path, name):
        theirs = endpoint(shared_data, f"Endpoints/Spot/ExchangeData/{name}.txt")
        if name == "GetSymbols":
            theirs[0]["market_event"]["caution"] = {}
        same_shape(await get(upbit_busy[0], path), theirs)

    async def test_tickers(self, upbit_busy, shared_data):
        em, client = upbit_busy
        (ours,) = await get(em, "/v1/ticker?markets=KRW-BTC")  # type: ignore[misc]
        theirs = endpoint(shared_data, "Endpoints/Spot/ExchangeData/GetTickers.txt")[0]
        assert not set(theirs) - set(ours) - {"trade_date_kst", "trade_time_kst"}  # type: ignore[has-type]
        same_structure(client.parse_ticker(ours), client.parse_ticker(theirs))  # type: ignore[has-type]

    async def test_market_streams_as_recorded(self, upbit_busy, shared_data):
        em, _ = upbit_busy
        real: dict[str, dict] = {}
        for message in captured(shared_data / "cryptofeed" / "UPBIT.ws.62.0.log.gz"):
            real.setdefault(message["ty"], message)
        assert set(real) == {"trade", "orderbook"}
        request = [{"ticket": "t"}, {"format": "SIMPLE"}]
        request += [{"type": t, "codes": ["KRW-BTC"], "isOnlyRealtime": True} for t in real]  # type: ignore[dict-item]
        ours: dict[str, dict] = {}
        async with socket(em, "/websocket/v1") as ws:
            await ws.send_json(request)
            await ws.send_str("PING")
            await ws.receive()
            em.exchange.trade("KRW-BTC", D(67_000_000), D("0.5"), "sell")
            em.exchange.change_book("KRW-BTC", {D(67_000_000): D(3)}, {})
            while len(ours) < 2:
                message = await ws.receive()
                assert message.type is aiohttp.WSMsgType.BINARY
                value = json.loads(message.data)
                ours[value["ty"]] = value
        for name, theirs in real.items():
            same_shape(ours[name], theirs, name)

    async def test_the_client_reads_trades_and_books_alike(self, upbit_busy, shared_data):
        em, client = upbit_busy
        theirs = socket_example(shared_data, "Subscriptions/Spot/Trades.txt")
        async with socket(em, "/websocket/v1") as ws:
            wanted = [{"type": t, "codes": ["KRW-BTC"]} for t in ("trade", "orderbook", "ticker")]
            await ws.send_json([{"ticket": "t"}, *wanted])
            seen: dict[str, Any] = {}
            while len(seen) < 3:
                value = json.loads((await ws.receive()).data)
                seen[value["type"]] = value
        assert set(seen["trade"]) == set(theirs)
        same_structure(client.parse_trade(seen["trade"]), client.parse_trade(theirs))
        book = socket_example(shared_data, "Subscriptions/Spot/OrderBook.txt")
        same_shape(seen["orderbook"], book)
        ticker = socket_example(shared_data, "Subscriptions/Spot/Tickers.txt")
        assert not set(ticker) - set(seen["ticker"])
        same_structure(client.parse_ticker(seen["ticker"]), client.parse_ticker(ticker))


def as_text(value: object) -> object:
    """Numbers as text, everywhere."""
    if isinstance(value, dict):
        return {k: as_text(v) for k, v in value.items()}
    if isinstance(value, list):
        return [as_text(v) for v in value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def endpoint(shared: Path, name: str) -> list:
    """The answer in a file of the form METHOD, path, private, JSON."""
    with zipfile.ZipFile(shared / "protocol" / "upbit_jkorf_fixtures.zip") as held:
        return json.loads(held.read(name).decode("utf-8-sig").split("\n", 3)[3])


def socket_example(shared: Path, name: str) -> dict:
    """The message in a file of the form > request, = message."""
    with zipfile.ZipFile(shared / "protocol" / "upbit_jkorf_fixtures.zip") as held:
        return json.loads(held.read(name).decode("utf-8-sig").partition("\n=")[2])
