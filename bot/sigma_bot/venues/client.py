"""What the venue clients share: asking through limiter and wire, odd answers turned into unknown ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sigma_bot.errors import nearest
from sigma_bot.venues import error_rows, errors
from sigma_bot.venues.ccxt_client import Wire
from sigma_bot.venues.fields import UNREADABLE
from sigma_bot.venues.limiter import Limiter
from sigma_bot.venues.types import RefusedError, nobody

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A REST endpoint as ccxt names it, with what it costs. ``urgent``: may use the reserve."""

    name: str
    costs: Mapping[str, int]
    urgent: bool = False


class Rest:
    """Asks one venue. ``ask`` gives what ``read`` makes of the answer."""

    def __init__(self, wire: Wire, limiter: Limiter) -> None:
        self.wire, self._limiter = wire, limiter

    async def close(self) -> None:
        """Give wire and limiter back."""
        await self.wire.close()
        await self._limiter.close()

    async def ask(
        self,
        endpoint: Endpoint,
        params: Mapping[str, object],
        read: Callable[[object], T],
        deadline_ns: int | None = None,
        writing: Callable[[], None] = nobody,
    ) -> T:
        """One request; ``writing`` is called right before its first byte is written. Raises VenueError; an
        answer that ``read`` finds MalformedError is an UnknownError."""
        await self._limiter.acquire(endpoint.costs, endpoint.urgent, deadline_ns)
        answer = await self.wire.call(endpoint.name, params, deadline_ns, writing)
        try:
            return read(answer)
        except UNREADABLE as odd:
            raise errors.malformed(self.wire.venue, odd) from None

    async def clock_offset_ns(self, endpoint: Endpoint, read: Callable[[object], int]) -> int:
        """The venue's clock less ours: of three questions the one that was answered fastest, at half its way.
        The venue tells whole ms, so half of one is added."""
        samples = []
        for _ in range(3):
            began, wall = time.monotonic_ns(), time.time_ns()
            told = await self.ask(endpoint, {}, read)
            took = time.monotonic_ns() - began
            samples.append((took, told + 500_000 - (wall + took // 2)))
        return min(samples)[1]


def unknown_market(venue: str, symbol: str, known: list[str]) -> RefusedError:
    """The error for a symbol the venue does not have, with the nearest it has."""
    return RefusedError(f"{venue}: no market {symbol!r}{nearest(symbol, known)}", error_rows.UNKNOWN_MARKET)
