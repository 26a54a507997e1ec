"""The ccxt clients, as this room uses them: ccxt's endpoints, signing and error-free part, but no limiter, no
retry, no float and no guess of its own. ccxt is imported here only, and only one exchange of it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.machinery
import importlib.util
import logging
import sys
import time
import types
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from sigma_bot.times import SECOND
from sigma_bot.venues import errors
from sigma_bot.venues.fields import MalformedError, is_object, parse_json
from sigma_bot.venues.keys import Keys
from sigma_bot.venues.types import VenueError, nobody
from sigma_bot.venues.venue import header

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_MS = 10_000
"""Longest wait for an answer."""
URL_VARIABLE = "SIGMA_VENUE_URL"
Told = Callable[[int, Mapping[str, str]], Awaitable[None]]
"""Hears the status and headers of every answer."""


@dataclass(slots=True)
class _Attempt:
    """One request on its way. ``sent``: its first byte was given to the socket."""

    venue: str
    deadline_ns: int | None
    writing: Callable[[], None]
    sent: bool = False
    status: int = 0
    headers: Mapping[str, str] | None = None


_attempt: ContextVar[_Attempt | None] = ContextVar("sigma_venue_attempt", default=None)


def exchange_class(name: str, family: str = "async_support") -> Any:
    """ccxt's class of one exchange (``family`` async_support or pro) without importing the other hundred:
    `import ccxt` takes seconds and 50 MiB more. Where ccxt was imported whole already, that one is used."""
    root = _package("ccxt")
    if not hasattr(root, "Exchange"):
        for public, value in vars(importlib.import_module("ccxt.base.errors")).items():
            if isinstance(value, type):
                setattr(root, public, value)
        root.Exchange = importlib.import_module("ccxt.base.exchange").Exchange  # type: ignore[attr-defined]
    for part in ("async_support", family):
        setattr(root, part, _package(f"ccxt.{part}"))
    return _exchange(f"ccxt.{family}", name)


def _package(name: str) -> types.ModuleType:
    """The package without what its ``__init__`` would import: submodules as usual, exchanges when named."""
    if name in sys.modules:
        return sys.modules[name]
    parent = sys.modules[name.rpartition(".")[0]].__path__ if "." in name else None
    spec = importlib.machinery.PathFinder.find_spec(name, parent)
    if spec is None:
        raise ImportError(f"{name} is not installed: pip install 'sigma-x[venue]'")
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    package.__getattr__ = lambda exchange: _exchange(name, exchange)  # type: ignore[method-assign]
    return package


def _exchange(package: str, name: str) -> Any:
    """An exchange's class. It takes the place of its module in the package, as ccxt itself has it: the
    classes of ccxt.pro name their parents so."""
    here = sys.modules[package]
    found = vars(here).get(name)
    if not isinstance(found, type):
        if name.startswith("_") or importlib.util.find_spec(f"{package}.{name}") is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{package}.{name}"), name)
        setattr(here, name, found)
    return found


def _session() -> aiohttp.ClientSession:
    """A session that looks at the clock when everything is ready and nothing is written yet."""
    import ssl

    import aiohttp
    import certifi

    class Request(aiohttp.ClientRequest):
        """`send` is called with the connection made (name looked up, TLS done), and writes at once."""

        async def send(self, conn: Any) -> aiohttp.ClientResponse:
            attempt = _attempt.get()
            if attempt is not None:
                if attempt.deadline_ns is not None and time.monotonic_ns() > attempt.deadline_ns:
                    raise errors.late(attempt.venue)
                attempt.sent = True
                attempt.writing()
            return await super().send(conn)

    context = ssl.create_default_context(cafile=certifi.where())
    connector = aiohttp.TCPConnector(ssl=context, enable_cleanup_closed=True)
    return aiohttp.ClientSession(connector=connector, request_class=Request)


class Wire:
    """One venue's REST endpoints through ccxt. ``call("private_get_order", {...})`` gives the JSON answer
    with Decimals, or raises a VenueError of the right kind."""

    def __init__(self, venue: str, keys: Keys, urls: Mapping[str, str], told: Told) -> None:
        self.venue = venue
        self._keys, self._urls, self._told = keys, dict(urls), told
        self._exchange: Any = None
        self.session: aiohttp.ClientSession | None = None
        self.date_offset_ns: int | None = None

    async def open(self) -> None:
        """Make the client. Needs a running loop; nothing is sent."""
        self.session = _session()
        key, secret = self._keys.reveal()
        settings = {
            "apiKey": key,
            "secret": secret,
            "session": self.session,
            "asyncio_loop": asyncio.get_running_loop(),
            "enableRateLimit": False,
            "timeout": TIMEOUT_MS,
            "timeout_on_exit": 0,
        }
        self._exchange = _client_class(self)(settings)
        if self._urls:
            self._exchange.urls["api"] = dict(self._urls)

    async def close(self) -> None:
        """Close the client and its connections."""
        exchange, session = self._exchange, self.session
        self._exchange = self.session = None
        if exchange is not None:
            await exchange.close()
        if session is not None:
            await session.close()

    @property
    def ccxt(self) -> Any:
        """The ccxt client, for signing what goes over a WebSocket."""
        return self._exchange

    async def call(
        self,
        endpoint: str,
        params: Mapping[str, object] | None = None,
        deadline_ns: int | None = None,
        writing: Callable[[], None] = nobody,
    ) -> object:
        """Ask one endpoint, named as ccxt names it. Nothing is written after ``deadline_ns``; ``writing`` is
        called right before the first byte."""
        method: Callable[[dict[str, object]], Awaitable[object]] = getattr(self._exchange, endpoint)
        attempt = _Attempt(self.venue, deadline_ns, writing)
        token = _attempt.set(attempt)
        try:
            return await method(dict(params or {}))
        except VenueError:
            raise
        except Exception as error:
            known = errors.from_exception(self.venue, error, attempt.sent)
            if known is None:
                raise
            raise known from None
        finally:
            _attempt.reset(token)
            if attempt.headers is not None:
                await self._told(attempt.status, attempt.headers)

    def judge(self, status: int, headers: Mapping[str, str], body: object) -> None:
        """Raise for an answer that says no."""
        attempt = _attempt.get()
        if attempt is not None:
            attempt.status, attempt.headers = status, headers
        self.date_offset_ns = _date_offset(header(headers, "date"), time.time_ns())
        code, message = _code(body)
        if status >= 300 or (code and is_object(body) and _says_no(body)):
            raise errors.from_answer(self.venue, status, code, message or _text(body), headers)


def _date_offset(date: str, now: int) -> int | None:
    """The venue's clock less ours in ns, to half a second, by the Date header of an answer that just came."""
    try:
        told = parsedate_to_datetime(date)
    except ValueError:
        return None
    return int(told.timestamp()) * SECOND + SECOND // 2 - now


def _text(body: object) -> str:
    return body if isinstance(body, str) else ""


def _says_no(body: Mapping[str, object]) -> bool:
    """Whether an answer with status 200 is an error all the same."""
    code = body.get("code")
    return "error" in body or (isinstance(code, int) and code < 0)


def _code(body: object) -> tuple[str, str]:
    """The venue's own code and message: Binance's {"code", "msg"}, Upbit's {"error": {"name", "message"}}."""
    if not is_object(body):
        return "", ""
    error = body.get("error")
    if is_object(error):
        return str(error.get("name") or "")[:80], str(error.get("message") or "")
    code = body.get("code")
    known = isinstance(code, int | str) and not isinstance(code, bool)
    return str(code)[:80] if known else "", str(body.get("msg") or "")


def _quiet() -> logging.Logger:
    log = logging.getLogger("sigma_bot.venues.ccxt")
    log.setLevel(logging.WARNING)
    return log


def _client_class(wire: Wire) -> Any:
    """ccxt's class for the venue, with JSON read exactly and answers judged by our table."""

    class Client(exchange_class(wire.venue)):  # type: ignore[misc]
        """Lives as long as its ``Wire``."""

        # ccxt writes whole requests, signature and all, to its log at level debug.
        logger = _quiet()

        def parse_json(self, text: str) -> object:
            try:
                return parse_json(text)
            except MalformedError:
                return None

        def handle_errors(self, code: int, *answer: Any) -> None:
            _reason, _url, _method, headers, body, parsed, *_request = answer
            wire.judge(code, headers, body if parsed is None else parsed)

    return Client
