"""A venue for the feed: a real WebSocket and REST server that replays captured messages, and misbehaves when
told to."""

from __future__ import annotations

import ast
import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

LONG = {
    "ty": "type", "cd": "code", "tms": "timestamp", "ttms": "trade_timestamp", "tp": "trade_price",
    "tv": "trade_volume", "ab": "ask_bid", "sid": "sequential_id", "st": "stream_type",
    "obu": "orderbook_units", "ap": "ask_price", "bp": "bid_price", "as": "ask_size", "bs": "bid_size",
    "td": "trade_date", "ttm": "trade_time", "pcp": "prev_closing_price", "c": "change", "cp": "change_price",
    "tas": "total_ask_size", "tbs": "total_bid_size",
}  # fmt: skip


def long_names(value: Any) -> Any:
    """Upbit's SIMPLE format (as captured) in the DEFAULT one (as ccxt asks for)."""
    if isinstance(value, dict):
        return {LONG[key]: long_names(inner) for key, inner in value.items()}
    return [long_names(inner) for inner in value] if isinstance(value, list) else value


def capture(data: Path, name: str) -> list[tuple[float, Any]]:
    """(seconds, message) of a capture."""
    found = []
    for line in gzip.decompress((data / "cryptofeed" / name).read_bytes()).decode().splitlines():
        stamp, separator, body = line.strip().partition(": ")
        if not separator or "<-" in stamp or "<->" in stamp:
            continue
        text = ast.literal_eval(body).decode() if body.startswith("b'") else body
        found.append((float(stamp), json.loads(text)))
    return found


def upbit_capture(data: Path) -> list[tuple[float, dict[str, Any]]]:
    return [(stamp, long_names(message)) for stamp, message in capture(data, "UPBIT.ws.62.0.log.gz")]


def binance_capture(data: Path) -> list[tuple[float, dict[str, Any]]]:
    """bookTicker as captured, aggregated trades as single ones."""
    found = []
    for stamp, message in capture(data, "BINANCE.ws.1.0.log.gz"):
        data = message.get("data", {})
        if "@bookTicker" in message.get("stream", ""):
            found.append((stamp, data))
        elif data.get("e") == "aggTrade":  # type: ignore[attr-defined]
            trade = {name: data[name] for name in ("E", "s", "p", "q", "T", "m", "M")}  # type: ignore[index]
            found.append((stamp, {"e": "trade", "t": data["a"], **trade}))  # type: ignore[arg-type, index]
    return found  # type: ignore[return-value]


class FakeVenue:
    """Listens like Upbit, Bithumb and Binance at once. Tests send what they like to whoever is connected."""

    def __init__(self) -> None:
        self.sockets: list[web.WebSocketResponse] = []
        self.requests: list[Any] = []
        self.changed = asyncio.Event()
        self.refuse = False
        self.deaf = False  # takes connections and says nothing
        self.on_subscribe: Callable[[web.WebSocketResponse, Any], Awaitable[None]] | None = None
        self.url = ""
        self.ahead_ms = 0

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/v1/market/all", self._upbit_markets)
        app.router.add_get("/api/v3/exchangeInfo", self._binance_markets)
        app.router.add_get("/api/v3/time", self._time)
        app.router.add_get("/websocket/v1", self._socket)
        app.router.add_get("/ws", self._socket)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _upbit_markets(self, request: web.Request) -> web.Response:
        codes = ["KRW-BTC", "KRW-ETH", "KRW-XRP", "KRW-LAMB", "KRW-WAVES", "BTC-XTZ", "BTC-PAX", "BTC-ARK"]
        return web.json_response([{"market": code} for code in codes])

    async def _binance_markets(self, request: web.Request) -> web.Response:
        symbols = ["BTCUSDT", "ETHUSDT", "NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR"]
        return web.json_response({"symbols": [{"symbol": symbol} for symbol in symbols]})

    async def _time(self, request: web.Request) -> web.Response:
        return web.json_response({"serverTime": time.time_ns() // 1_000_000 + self.ahead_ms})

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.refuse:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        self._bell()
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    body = json.loads(message.data)
                    self.requests.append(body)
                    if self.on_subscribe is not None and not self.deaf:
                        await self.on_subscribe(socket, body)
                    self._bell()
        finally:
            self.sockets.remove(socket)
            self._bell()
        return socket

    def _bell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, holds: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until something holds about what clients did."""
        async with asyncio.timeout(seconds):
            while not holds():
                await self.changed.wait()

    async def send(self, message: Any, binary: bool = True, first: bool = False) -> None:
        """To everybody connected, or to the oldest connection alone."""
        data = message if isinstance(message, bytes | str) else json.dumps(message)
        for socket in self.sockets[:1] if first else list(self.sockets):
            with suppress(ConnectionError):  # a client that was killed
                if not binary:
                    await socket.send_str(data if isinstance(data, str) else data.decode())
                else:
                    await socket.send_bytes(data.encode() if isinstance(data, str) else data)

    async def cut(self) -> None:
        """Drop every connection without a word."""
        for socket in list(self.sockets):
            transport = socket._req.transport if socket._req is not None else None
            if transport is not None:
                transport.abort()


def book(code: str, bid: float, ask: float, ts: int = 1_700_000_000_000) -> dict[str, Any]:
    """An order book as Upbit sends it."""
    unit = {"ask_price": ask, "bid_price": bid, "ask_size": 1.0, "bid_size": 2.0}
    return {
        "type": "orderbook",
        "code": code,
        "timestamp": ts,
        "orderbook_units": [unit],
        "stream_type": "REALTIME",
    }


def trade(code: str, price: float, size: float, number: int, ts: int = 1_700_000_000_000) -> dict[str, Any]:
    """A trade as Upbit sends it."""
    return {
        "type": "trade", "code": code, "trade_price": price, "trade_volume": size, "ask_bid": "BID",
        "trade_timestamp": ts, "timestamp": ts, "sequential_id": number, "stream_type": "REALTIME",
    }  # fmt: skip
