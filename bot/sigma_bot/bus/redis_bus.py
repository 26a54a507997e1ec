"""The bus on Redis: Pub/Sub for channels, one Stream for each log.

An entry of a log has the id ``<seq>-0``, so Redis itself keeps the order. What must happen in one step (look
at the newest entry, add, tell) is a script.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, cast

import msgpack
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from sigma_bot.bus.errors import BusError, GapError, check_seq
from sigma_bot.bus.redis_private import ListeningConnection
from sigma_bot.errors import BadInputError
from sigma_bot.redaction import redact_url

ANSWER_S = 5.0
"""Seconds for Redis to answer, or to take a connection."""
PING_S = 5.0
"""Seconds between the pings of a connection that only listens; silent for three of them, it is lost."""
_WANT = "sigma.want:"

# KEYS: log. ARGV: seq, payload, kept. Gives the newest seq before it (-1: none); a hole adds nothing.
_APPEND = """
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local seq = tonumber(ARGV[1])
local last = -1
if newest[1] then last = tonumber(string.match(newest[1][1], '^%d+')) end
if last >= 0 and seq ~= last + 1 then return last end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], ARGV[1] .. '-0', 'p', ARGV[2])
redis.call('PUBLISH', KEYS[1], ARGV[2])
return last
"""
# KEYS: hash of who -> what, sorted set of who -> end. ARGV: who, what ('' takes it back), milliseconds.
_SET_WANT = """
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  local t = redis.call('TIME')
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('ZADD', KEYS[2], t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[3], ARGV[1])
end
"""
_GET_WANTED = """
local t = redis.call('TIME')
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', t[1] * 1000 + math.floor(t[2] / 1000))
for _, who in ipairs(gone) do
  redis.call('HDEL', KEYS[1], who)
  redis.call('ZREM', KEYS[2], who)
end
return redis.call('HGETALL', KEYS[1])
"""


class RedisBus:
    """A bus for all processes that reach one Redis. A command is sent once: who calls decides what to
    repeat."""

    def __init__(self, url: str, kept: int) -> None:
        self._shown, self._kept = redact_url(url), kept
        try:
            # A silent reconnection of redis-py would hide that messages were lost: no retries of its own.
            self._pool = ConnectionPool.from_url(
                url,
                protocol=2,
                decode_responses=False,
                socket_timeout=ANSWER_S,
                socket_connect_timeout=ANSWER_S,
                socket_keepalive=True,
                retry=Retry(NoBackoff(), 0),
            )
        except (ValueError, TypeError) as error:
            raise BadInputError(
                f"bus address {self._shown} cannot be read; write redis://:PASSWORD@HOST:PORT/DATABASE"
            ) from error
        self._redis = Redis(connection_pool=self._pool)
        self._append = self._redis.register_script(_APPEND)
        self._set_want = self._redis.register_script(_SET_WANT)
        self._get_wanted = self._redis.register_script(_GET_WANTED)

    async def publish(self, channel: str, payload: bytes) -> None:
        """See Bus."""
        with self._translating_errors():
            await self._redis.publish(channel, payload)

    @asynccontextmanager
    async def subscribe(self, *channels: str) -> AsyncIterator[AsyncIterator[tuple[str, bytes]]]:
        """See Bus."""
        connection = ListeningConnection(self._pool)
        try:
            with self._translating_errors():
                await connection.connect()
                await connection.send("SUBSCRIBE", *channels)
                for _ in channels:
                    await connection.read()
            pings = asyncio.create_task(self._ping(connection))
            try:
                yield self._messages(connection)
            finally:
                pings.cancel()
        finally:
            with suppress(RedisError, OSError):  # the connection is given up, whatever state it is in
                await connection.close()

    async def _messages(self, connection: ListeningConnection) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            with self._translating_errors():
                reply = await connection.read(timeout=3 * PING_S)
                if reply is None:
                    raise TimeoutError(f"nothing heard for {3 * PING_S:.0f} s")
            if reply[0] == b"message":
                yield reply[1].decode(), reply[2]

    async def _ping(self, connection: ListeningConnection) -> None:
        """Have the other end answer now and then; a connection that breaks is told by the reader."""
        with suppress(RedisError, OSError):
            while True:
                await asyncio.sleep(PING_S)
                await connection.send("PING")

    async def append(self, log: str, seq: int, payload: bytes) -> None:
        """See Bus. An entry that is there already is ignored; GapError when those before it are missing."""
        check_seq(seq)
        with self._translating_errors():
            last = int(await self._append(keys=[log], args=[seq, payload, self._kept]))
        if last >= 0 and seq > last + 1:
            raise GapError(f"bus {self._shown}", log, seq, last)

    async def read(self, log: str, after: int, limit: int = 1000) -> list[tuple[int, bytes]]:
        """See Bus."""
        start = "-" if after < 0 else f"{after + 1}-0"
        with self._translating_errors():
            found = await self._redis.xrange(log, start, "+", count=limit)
        return [_entry(one) for one in found or ()]

    async def last(self, log: str) -> tuple[int, bytes] | None:
        """See Bus."""
        with self._translating_errors():
            found = await self._redis.xrevrange(log, "+", "-", count=1)
        return _entry(found[0]) if found else None

    async def leave(self, box: str, payload: bytes, ttl_s: float) -> None:
        """See Bus."""
        with self._translating_errors():
            await self._redis.set(box, payload, px=int(ttl_s * 1000))

    async def collect(self, box: str) -> bytes | None:
        """See Bus."""
        with self._translating_errors():
            found = await self._redis.get(box)
        return cast(bytes | None, found)

    async def want(self, topic: str, who: str, what: list[str], ttl_s: float) -> None:
        """See Bus."""
        packed = msgpack.packb(what) if what else b""
        with self._translating_errors():
            await self._set_want(keys=_want_keys(topic), args=[who, packed, int(ttl_s * 1000)])

    async def wanted(self, topic: str) -> dict[str, list[str]]:
        """See Bus."""
        with self._translating_errors():
            found = await self._get_wanted(keys=_want_keys(topic))
        pairs = zip(found[::2], found[1::2], strict=True)
        return dict(sorted((who.decode(), msgpack.unpackb(what)) for who, what in pairs))

    async def close(self) -> None:
        """See Bus."""
        with suppress(RedisError, OSError):  # what is lost already need not be closed
            await cast(Awaitable[None], self._redis.aclose())
            await self._pool.disconnect()

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            # The cause is dropped, not chained: a driver's own text may quote the address.
            raise BusError(f"bus {self._shown}: {_reason(error)}") from None


def _entry(found: Any) -> tuple[int, bytes]:
    number, fields = found
    return int(number.partition(b"-")[0]), fields[b"p"]


def _want_keys(topic: str) -> list[str]:
    return [f"{_WANT}{topic}", f"{_WANT}{topic}:end"]


def _reason(error: Exception) -> str:
    """The user's words for what Redis or the connection to it said."""
    if isinstance(error, AuthenticationError):
        return "the password or the user name is wrong, or one is needed"
    if isinstance(error, TimeoutError):
        return "Redis does not answer; look at its load and at the network"
    if isinstance(error, ConnectionError | OSError):
        return f"Redis cannot be reached ({str(error).rstrip('.')}); is it running, and is the address right?"
    text = str(error)
    if isinstance(error, OutOfMemoryError):
        return "Redis is out of memory; raise maxmemory or keep fewer entries"
    if isinstance(error, ResponseError) and text.startswith("MISCONF"):
        return "Redis cannot write to its disk and takes no more; free some space"
    return f"Redis says: {text}"
