"""The emulator as a server: one port for REST, WebSockets and the admin interface, on aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from email.utils import formatdate
from types import TracebackType
from typing import Any

from aiohttp import WSMsgType, web

from sigma_bot.emulator.accounts import Key
from sigma_bot.emulator.admin import Admin
from sigma_bot.emulator.exchange import Exchange
from sigma_bot.emulator.faults import Fault, FaultScript
from sigma_bot.emulator.http import Answer, Request
from sigma_bot.emulator.limits import Limiter
from sigma_bot.emulator.model import Rules
from sigma_bot.emulator.player import Player
from sigma_bot.emulator.registry import emulated
from sigma_bot.times import SECOND

ACCOUNT, API_KEY, API_SECRET = "main", "sigma-emulator-key", "sigma-emulator-secret"
"""The account every emulator has, and its key."""
INTERVAL = 0.1


class Socket:
    """A client's WebSocket: frames are queued and sent by a task of its own. See WebSocketSession."""

    def __init__(self, ws: web.WebSocketResponse, request: web.Request) -> None:
        self.account: str | None = None
        self.topics: dict[str, Any] = {}
        self.silent = False
        self._ws, self._request = ws, request
        self._queue: asyncio.Queue[str | bytes] = asyncio.Queue()

    def send(self, payload: str | bytes) -> None:
        """See WebSocketSession."""
        if not self.silent:
            self._queue.put_nowait(payload)

    def cut(self) -> None:
        """See WebSocketSession."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def write(self) -> None:
        """Send what is queued, for ever. Ends with ConnectionError when the client is gone."""
        while True:
            payload = await self._queue.get()
            if isinstance(payload, bytes):
                await self._ws.send_bytes(payload)
            else:
                await self._ws.send_str(payload)


class Emulator:
    """An exchange on a port of this machine.

    ``async with Emulator("binance", ["BTCUSDT"]) as em:`` serves at ``em.url`` (port 0: any free one). Its
    account "main" has the key ``em.key``/``em.secret``. Nothing moves by itself: the market is set through
    ``em.exchange``, or by a Player.
    """

    def __init__(
        self,
        venue: str = "binance",
        symbols: Sequence[str] = ("BTCUSDT",),
        balances: Mapping[str, Decimal] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        rules: Sequence[Rules] | None = None,
    ) -> None:
        self.venue, self.host, self.port = venue, host, port
        self.key, self.secret = API_KEY, API_SECRET
        known = emulated(venue)
        self.exchange = Exchange(known.style, rules or [known.rules(symbol) for symbol in symbols])
        opening = known.opening if balances is None else balances
        self.exchange.add_account(ACCOUNT, dict(opening), Key(API_KEY, API_SECRET, ACCOUNT))
        self.limiter = Limiter(self.exchange.now)
        self.protocol = known.protocol(self.exchange, self.limiter)
        self.exchange.listeners.append(self.protocol.streams.published)
        self.player: Player | None = None
        self.admin = Admin(self)
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """Where it serves: the value for SIGMA_VENUE_URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def faults(self) -> FaultScript:
        """The script of faults."""
        return self.protocol.streams.hub.script

    async def __aenter__(self) -> Emulator:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]
        self._tasks.append(asyncio.create_task(self._ticks()))
        if self.player is not None:
            self._tasks.append(asyncio.create_task(self.player.run()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.faults.clear()
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        self.cut_sockets()
        if self._runner is not None:
            await self._runner.cleanup()
        for result in results:  # a player that broke must not pass for one that ended
            if isinstance(result, Exception):
                raise result

    def cut_sockets(self) -> None:
        """Break every WebSocket."""
        for socket in list(self.protocol.streams.hub.sockets):
            socket.cut()

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            self.protocol.streams.tick()

    # -- requests

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        if http.path.startswith("/_emulator/"):
            return await self.admin.handle(http)
        request = Request(
            http.method,
            http.path,
            http.rel_url.raw_query_string,
            {k.lower(): v for k, v in http.headers.items()},
            await http.read(),
            http.remote or "",
        )
        if self.protocol.is_socket(http.path):
            return await self._socket(http, request)
        faults = self.faults.take(self.protocol.name(request.method, request.path) or "unknown")
        answer: Answer | None = None
        for fault in faults:
            if fault.when == "before" and answer is None:
                answer = await self._met(fault, http)
        if answer is None:
            answer = self.protocol.answer(request)
        for fault in faults:
            if fault.when == "after":
                answer = await self._met(fault, http) or answer
        response = _response(answer)
        response.headers["Date"] = formatdate(self.exchange.now() / 1e9, usegmt=True)
        return response

    async def _met(self, fault: Fault, http: web.Request) -> Answer | None:
        """What a fault answers in place of the exchange, None when it only takes time."""
        fault.reached.set()
        match fault.action:
            case "drop":
                if http.transport is not None:
                    http.transport.abort()
                return Answer(503, "")
            case "delay":
                await asyncio.sleep(fault.seconds)
            case "hold":
                await fault.released.wait()
            case "answer":
                return Answer(fault.status, fault.body, fault.headers)
            case "limit":
                return self.protocol.limited(429, int(fault.seconds) or 1)
            case "ban":
                seconds = int(fault.seconds) or 120
                self.limiter.banned_until = self.exchange.now() + seconds * SECOND
                return self.protocol.limited(418, seconds)
        return None

    # -- WebSockets

    async def _socket(self, http: web.Request, request: Request) -> web.StreamResponse:
        for fault in self.faults.take("connect"):
            answer = await self._met(fault, http)
            if answer is not None:
                return _response(answer)
        ws = web.WebSocketResponse(autoping=False)
        socket = Socket(ws, http)
        refusal = self.protocol.streams.opened(socket, request)
        if refusal is not None:
            return _response(refusal)
        await ws.prepare(http)
        sockets = self.protocol.streams.hub.sockets
        sockets.append(socket)
        writer = asyncio.create_task(socket.write())
        try:
            async for message in ws:
                if message.type is WSMsgType.PING and not socket.silent:
                    await ws.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    self.protocol.streams.received(socket, message.data)
                elif message.type is WSMsgType.BINARY:
                    self.protocol.streams.received(socket, message.data.decode("utf-8", "replace"))
        except ConnectionError:
            pass  # the client went away in the middle of a frame: the end of this socket like any other
        finally:
            sockets.remove(socket)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await writer
        return ws


def _response(answer: Answer) -> web.Response:
    body = answer.body.encode() if isinstance(answer.body, str) else answer.body
    headers = {"content-type": "application/json;charset=UTF-8", **answer.headers}
    return web.Response(status=answer.status, body=body, headers=headers)
