"""Plays a recording into an exchange: in time with the clock, faster, paused, from another place, for ever.

A row sets the market's book and prints its trades. Recorded times become now: what the exchange tells carries
its own clock's time. The data hold the best prices only, so the book behind them is made up: ``depth`` levels
a side, one tick apart, each of the best level's size.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sigma_bot.emulator.exchange import Exchange
from sigma_bot.emulator.market import Market
from sigma_bot.emulator.model import ZERO, Side
from sigma_bot.emulator.recording import Row, Source
from sigma_bot.errors import BadInputError
from sigma_bot.times import SECOND

DEPTH = 5
LOT = Decimal("0.00000001")
BATCH = 50  # rows played without giving way to the server's other work


class Player:
    """One recording and where it is. ``speed``: recorded seconds in a second."""

    def __init__(
        self,
        exchange: Exchange,
        source: Source,
        speed: float = 1.0,
        loop: bool = False,
        depth: int = DEPTH,
        paused: bool = False,
    ) -> None:
        self.exchange, self.loop, self.depth, self.speed, self.paused = exchange, loop, depth, speed, paused
        self.played, self.finished = 0, False
        self._source, self._rows = source, source()
        self._next: Row | None = None
        self._start: int | None = None  # time of the recording's first row
        self._at = 0  # time of the row played last
        self._anchor: tuple[float, int] | None = None  # a moment of the clock, and of the recording
        self._changed = asyncio.Event()
        self.control(None, speed, None)

    def control(self, paused: bool | None, speed: float | None, seek: float | None) -> None:
        """Pause or go on, change the speed, or go to ``seek`` seconds from the recording's beginning; None
        leaves each as it is. Raises BadInputError."""
        if speed is not None:
            if not 0 < float(speed) < float("inf"):
                raise BadInputError(f"speed is {speed}; a number above 0, as in 10")
            self.speed = float(speed)
        if seek is not None:
            if not float(seek) >= 0:
                raise BadInputError(f"seek is {seek}; seconds from the beginning, 0 or more")
            self._seek(float(seek))
        if paused is not None:
            self.paused = bool(paused)
        self._anchor = None
        self._changed.set()

    def _seek(self, seconds: float) -> None:
        self._rows, self._next, self.finished = self._source(), None, False
        first = self._peek()
        if first is None:
            return
        target = first.ts + int(seconds * SECOND)
        while self._next is not None and self._next.ts < target:
            self._next = next(self._rows, None)

    def state(self) -> dict[str, Any]:
        """Where it is: seconds from the beginning, rows played, speed."""
        passed = self._at - self._start if self._start is not None and self.played else 0
        return {
            "paused": self.paused,
            "speed": str(self.speed),
            "position": str(passed / SECOND),
            "played": self.played,
            "finished": self.finished,
        }

    def _peek(self) -> Row | None:
        if self._next is None:
            self._next = next(self._rows, None)
            if self._start is None and self._next is not None:
                self._start = self._next.ts
        return self._next

    def step(self) -> Row | None:
        """Play the next row now, whatever the clock says; None at the end."""
        row = self._peek()
        if row is None:
            return None
        self._next = None
        self._play(row)
        self.played, self._at = self.played + 1, row.ts
        return row

    async def run(self) -> None:
        """Play in time with the clock until cancelled; at the end begin again (``loop``) or wait."""
        while True:
            row = None if self.paused else self._peek()
            if row is None:
                await self._rest()
                continue
            wait = self._due(row)
            if wait > 0:
                await self._wait(wait)
                continue
            for _ in range(BATCH):
                if self._next is None or self._due(self._next) > 0:
                    break
                self.step()
                self._peek()
            await asyncio.sleep(0)

    async def _rest(self) -> None:
        """Paused, or at the end."""
        if not self.paused and self.loop and self.played:
            self._rows, self._anchor = self._source(), None
            return
        self.finished = not self.paused
        self._changed.clear()
        await self._changed.wait()

    def _due(self, row: Row) -> float:
        """Seconds until a row's time."""
        now = time.monotonic()
        if self._anchor is None:
            self._anchor = (now, row.ts)
        return self._anchor[0] + (row.ts - self._anchor[1]) / SECOND / self.speed - now

    async def _wait(self, seconds: float) -> None:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return

    # -- a row

    def _play(self, row: Row) -> None:
        market = self.exchange.markets[row.symbol]
        bid, ask = _price(row.bid), _price(row.ask)
        if ask <= bid:  # data of trades only have one price
            ask = bid + market.rules.tick(bid)
        bids = self._ladder(market, bid, row.bid_size or row.volume, -1)
        asks = self._ladder(market, ask, row.ask_size or row.volume, 1)
        self.exchange.set_book(row.symbol, bids, asks)
        for price, size in prints(row):
            taker: Side = "buy" if price * 2 >= bid + ask else "sell"
            self.exchange.trade(row.symbol, price, size, taker)

    def _ladder(self, market: Market, best: Decimal, size: float, way: int) -> dict[Decimal, Decimal]:
        amount = _size(size) or Decimal(1)
        levels, price = {}, best
        for _ in range(self.depth):
            if price <= 0:
                break
            levels[price] = amount
            price += way * market.rules.tick(price)
        return levels


def prints(row: Row) -> Iterator[tuple[Decimal, Decimal]]:
    """Trades that make the row's low, high, last and volume: as few as do, the last price at the end."""
    volume = _size(row.volume)
    if not volume:
        return
    last = _price(row.last)
    extremes = [p for p in dict.fromkeys((_price(row.low), _price(row.high))) if p != last]
    part = (volume / (len(extremes) + 1)).quantize(LOT)
    for price in extremes:
        if part:
            yield price, part
    yield last, volume - part * len(extremes)


def _price(value: float) -> Decimal:
    return Decimal(repr(value)).normalize() + ZERO


def _size(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(LOT)
