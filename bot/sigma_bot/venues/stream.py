"""A private stream that is kept up for ever. Whatever may have been missed is told by a StreamBreak: after
each connection (also the first), after silence, and after a message that made no sense."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sigma_bot.redaction import redact
from sigma_bot.retry import Backoff
from sigma_bot.venues import errors
from sigma_bot.venues.fields import UNREADABLE, parse_json
from sigma_bot.venues.types import StreamBreak, UnknownError, VenueError, VenueFill, VenueOrder

if TYPE_CHECKING:
    import aiohttp

Event = VenueOrder | VenueFill | StreamBreak
PING_S = 15.0
"""Interval of pings; half of it later the line counts as dead."""
SILENCE_S = 60.0
"""An open line without a message may be forgotten by the venue: it is made anew."""
LIFE_S = 23 * 3600.0
"""Binance cuts after 24 hours: be first, at a moment of ours."""
BACKOFF = Backoff(0.2, maximum=30.0, jitter=(0.5, 1.0))
STEADY_S = 10.0
"""A connection that lived so long was a success: the next failure waits little."""
CLOSE_S = 1.0
"""A venue that does not answer our goodbye is not waited for."""
LARGEST = 1 << 20
"""Bytes of a message. Larger ones cut the line."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """How a venue's private stream is opened and read.

    ``accepted`` is asked with each message until it says True: the subscription stands. None: no such word is
    sent, and the stream counts as open with the hello."""

    venue: str
    url: str
    headers: Callable[[], Mapping[str, str]]
    hello: Callable[[], str]
    read: Callable[[object], list[Event]]
    accepted: Callable[[object], bool] | None = None


async def listen(session: aiohttp.ClientSession, line: StreamSpec) -> AsyncIterator[Event]:
    """Events of a private stream, until the session is closed."""
    from aiohttp import ClientError, ClientWSTimeout

    failures, lost = 0, "the stream is open"
    while not session.closed:
        began = time.monotonic()
        try:
            async with session.ws_connect(
                line.url,
                headers=line.headers(),
                heartbeat=PING_S,
                max_msg_size=LARGEST,
                timeout=ClientWSTimeout(ws_close=CLOSE_S),
            ) as socket:
                await socket.send_str(line.hello())
                async for event in _session(socket, line, lost, began + LIFE_S):
                    yield event
        except VenueError as error:
            lost = str(error)
        except (OSError, TimeoutError, ClientError) as error:
            lost = f"{type(error).__name__}: {error}"
        errors.COUNTS[line.venue, "stream-lost"] += 1
        lost = redact(f"the stream was lost ({lost})")
        if time.monotonic() - began > STEADY_S:
            failures = 0
        await asyncio.sleep(BACKOFF.delay(failures))
        failures += 1


async def _session(
    socket: aiohttp.ClientWebSocketResponse, line: StreamSpec, lost: str, ends: float
) -> AsyncIterator[Event]:
    """Events of one connection. Raises UnknownError when it is over."""
    accepted = line.accepted is None
    if accepted:
        yield StreamBreak(lost)
    while True:
        text = await _text(socket, line.venue, ends)
        try:
            message = parse_json(text)
            if not accepted and line.accepted is not None:
                accepted = line.accepted(message)
                if accepted:
                    yield StreamBreak(lost)
                continue
            told = line.read(message)
        except UNREADABLE as odd:
            yield StreamBreak(str(errors.malformed(line.venue, odd)))
            continue
        for event in told:
            yield event


async def _text(socket: aiohttp.ClientWebSocketResponse, venue: str, ends: float) -> str:
    """The next message, whatever frame it comes in."""
    from aiohttp import WSMsgType

    patience = min(SILENCE_S, ends - time.monotonic())
    try:
        frame = await socket.receive(timeout=max(0.0, patience))
    except TimeoutError:
        why = f"silent for {SILENCE_S:.0f} s" if patience == SILENCE_S else "renewed before the venue's cut"
        raise UnknownError(f"{venue}: {why}", "silent") from None
    if frame.type is WSMsgType.TEXT:
        return str(frame.data)
    if frame.type is WSMsgType.BINARY:
        return bytes(frame.data).decode("utf-8", "replace")
    raise UnknownError(f"{venue}: the line closed ({frame.type.name} {socket.close_code})", "closed")
