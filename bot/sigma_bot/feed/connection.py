"""One WebSocket connection to a venue, made and kept alive by ccxt.pro's client.

Nothing a venue sends can end it: ccxt stops reading for good when a handler raises, so every message is
decoded and read here, behind a fence that counts what is malformed.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import time
from collections.abc import Callable, Collection
from email.utils import parsedate_to_datetime
from typing import Any

from sigma_bot.times import SECOND
from sigma_bot.venues.ccxt_client import URL_VARIABLE, exchange_class
from sigma_bot.venues.public import MalformedError, PublicProtocol, Quote, RefusalError, Trade

CONNECT_S = 15.0
REQUEST_S = 10.0


class ConnectionLostError(Exception):
    """The connection is gone, or could not be made."""


class NoAnswerError(Exception):
    """A question over REST was not answered, or not as it should be."""


class MarketDataClient:
    """The venue's ccxt.pro client: addresses, session, and the few REST questions of a feed."""

    def __init__(self, protocol: PublicProtocol) -> None:
        self.protocol = protocol
        kind = exchange_class(protocol.venue, "pro")
        self._exchange: Any = kind({"enableRateLimit": False, "timeout": int(REQUEST_S * 1000)})
        emulator = os.environ.get(URL_VARIABLE)
        if emulator:
            self._exchange.urls["api"] = _pointed(self._exchange.urls["api"], emulator.rstrip("/"))

    @property
    def url(self) -> str:
        """Where the stream is."""
        where = self.protocol.url(self._exchange.urls["api"])
        return str(self._exchange.implode_params(where, {"hostname": self._exchange.hostname}))

    def websocket_client(
        self, on_data: Callable[[str | bytes], None], on_lost: Callable[[object], None]
    ) -> Any:
        """A ccxt.pro WebSocket client with our handlers."""
        from ccxt.async_support.base.ws.client import Client

        exchange = self._exchange
        exchange.open()

        def ignore(*_: object) -> None:
            """What is told here is told to ``on_lost`` as well."""

        settings = {**exchange.streaming, "asyncio_loop": asyncio.get_running_loop()}
        client = Client(self.url, ignore, ignore, ignore, ignore, settings)
        client.handle_text_or_binary_message = on_data
        client.reject = lambda error, _hash=None: on_lost(error)
        return client

    @property
    def session(self) -> Any:
        """aiohttp's session, with ccxt's certificates."""
        return self._exchange.session

    async def markets(self) -> set[str]:
        """Every symbol the venue lists. Raises NoAnswerError."""
        return self.protocol.markets(await self._ask(self.protocol.listing_endpoint))

    async def quotes(self, symbols: Collection[str]) -> list[Quote]:
        """The quotes of now where a stream tells only changes, else none. Raises NoAnswerError."""
        if not self.protocol.quotes_endpoint:
            return []
        named = {"symbols": json.dumps(sorted(symbols), separators=(",", ":"))}
        return self.protocol.quotes(await self._ask(self.protocol.quotes_endpoint, named))

    async def _ask(self, endpoint: str, params: dict[str, str] | None = None) -> Any:
        base_error = exchange_errors().BaseError
        try:
            return await getattr(self._exchange, endpoint)(params or {})
        except (base_error, OSError, ValueError, TypeError) as error:
            raise NoAnswerError(f"{type(error).__name__}: {str(error)[:200]}") from error

    async def clock(self) -> tuple[int, int]:
        """(how far the venue's clock is ahead of ours, how wrong this can be), in ns.

        By the venue's own time where it tells, else by the Date of an answer, which is cut to seconds.
        Raises NoAnswerError.
        """
        endpoint = self.protocol.time_endpoint
        before, started = time.time_ns(), time.perf_counter_ns()
        answer = await self._ask(endpoint or self.protocol.listing_endpoint)
        took = time.perf_counter_ns() - started
        try:
            if endpoint:
                theirs, grain = int(answer["serverTime"]) * 1_000_000, 1_000_000
            else:
                said = parsedate_to_datetime((self._exchange.last_response_headers or {})["Date"])
                theirs, grain = int(said.timestamp()) * SECOND, SECOND
        except (KeyError, TypeError, ValueError) as error:
            raise NoAnswerError(f"no time in the answer: {error!r}") from error
        return theirs + grain // 2 - (before + took // 2), took // 2 + grain // 2

    async def close(self) -> None:
        """Close the session."""
        await self._exchange.close()


def exchange_errors() -> Any:
    """ccxt's error classes, without the rest of ccxt."""
    return importlib.import_module("ccxt.base.errors")


def _pointed(urls: Any, base: str) -> Any:
    """ccxt's addresses with another scheme and host. The emulator has every path of the venue."""
    if isinstance(urls, dict):
        return {name: _pointed(inner, base) for name, inner in urls.items()}
    if not isinstance(urls, str) or "://" not in urls:
        return urls
    scheme, _, rest = urls.partition("://")
    _, slash, path = rest.partition("/")
    if scheme.startswith("ws"):
        base = base.replace("http", "ws", 1)
    return base + slash + path


class Connection:
    """A connection that brings some symbols' events, each stamped with ``clock()`` on arrival.

    ``on_event`` gets quotes and trades, ``on_fault`` a MalformedError or RefusalError. ``lost`` is set when
    the connection is gone.
    """

    def __init__(
        self,
        venue: MarketDataClient,
        clock: Callable[[], int],
        on_event: Callable[[Connection, Quote | Trade, int], None],
        on_fault: Callable[[MalformedError | RefusalError], None],
    ) -> None:
        from ccxt.async_support.base.ws.client import json_parser

        self._venue, self._clock = venue, clock
        self._on_event, self._on_fault = on_event, on_fault
        self._loads: Callable[[str | bytes], object] = json_parser.loads
        self._read = venue.protocol.read
        self._client: Any = None
        self._subscribed: frozenset[str] = frozenset()
        self.lost = asyncio.Event()
        self.why = ""
        self.opened = 0.0

    async def open(self, symbols: Collection[str]) -> None:
        """Connect and subscribe. Raises LineLostError."""
        self._client = self._venue.websocket_client(self._on_data, self._on_lost)
        connected = asyncio.ensure_future(self._client.connect(self._venue.session))
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait({connected, lost}, timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            connected.cancel()
            lost.cancel()
        if self.lost.is_set() or not self._client.isConnected:
            await self.close()
            raise ConnectionLostError(self.why or f"no connection within {CONNECT_S:.0f} s")
        self.opened = time.monotonic()
        await self.subscribe(symbols)

    async def subscribe(self, symbols: Collection[str], again: bool = False) -> None:
        """Have exactly these symbols come. ``again`` asks for those as well that come already."""
        wanted = frozenset(symbols)
        before = frozenset() if again else self._subscribed
        if wanted == before and not again:
            return
        try:
            for request in self._venue.protocol.requests(wanted, before):
                await self._client.send(request)
        except (OSError, RuntimeError) as error:  # aiohttp raises either when the socket closes meanwhile
            self._on_lost(error)
            raise ConnectionLostError(self.why) from error
        self._subscribed = wanted

    @property
    def symbols(self) -> frozenset[str]:
        """What it brings."""
        return self._subscribed

    def _on_data(self, data: str | bytes) -> None:
        received = self._clock()
        try:
            event = self._read(self._loads(data))
        except (MalformedError, RefusalError) as fault:
            self._on_fault(fault)
        except (ValueError, RecursionError) as error:  # not JSON, or nested too deeply
            self._on_fault(MalformedError("", f"not JSON: {type(error).__name__}"))
        else:
            if event is not None:
                self._on_event(self, event, received)

    def _on_lost(self, error: object) -> None:
        if not self.lost.is_set():
            self.why = str(error)[:300] or type(error).__name__
            self.lost.set()

    async def close(self) -> None:
        """Close the connection; it counts as lost from now on."""
        self._on_lost("closed")
        if self._client is not None:
            await self._client.close()
