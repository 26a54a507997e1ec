"""A market of the emulated exchange: its displayed book, its tape, and one-minute candles of the tape."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from sigma_bot.emulator.model import ZERO, Print, Rules, Side
from sigma_bot.times import MINUTE

Levels = Mapping[Decimal, Decimal]


@dataclass(slots=True)
class Candle:
    """One minute of the tape; ``start`` in ns."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    money: Decimal
    bought: Decimal  # volume of which the taker bought
    trades: int
    last: int  # time of the last trade, ns

    def add(self, trade: Print) -> None:
        """Count one more trade."""
        self.high, self.low, self.close = (
            max(self.high, trade.price),
            min(self.low, trade.price),
            trade.price,
        )
        self.volume += trade.size
        self.money += trade.price * trade.size
        self.bought += trade.size if trade.taker == "buy" else ZERO
        self.trades, self.last = self.trades + 1, trade.ts


class Market:
    """Book and tape of one symbol. ``status``: trading, suspended or delisted."""

    def __init__(self, rules: Rules, first_update: int) -> None:
        self.rules = rules
        self.status = "trading"
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.update_id = first_update
        self.updated = 0  # time of the last change, ns
        self.tape: deque[Print] = deque(maxlen=1000)
        self.candles: deque[Candle] = deque(maxlen=1500)

    def levels(self, side: Side) -> list[tuple[Decimal, Decimal]]:
        """(price, size) of the bids ("buy") or asks ("sell"), best first."""
        if side == "buy":
            return sorted(self.bids.items(), reverse=True)
        return sorted(self.asks.items())

    def best(self, side: Side) -> tuple[Decimal, Decimal] | None:
        """The best level of a side."""
        book = self.bids if side == "buy" else self.asks
        if not book:
            return None
        price = max(book) if side == "buy" else min(book)
        return price, book[price]

    def apply(self, bids: Levels, asks: Levels) -> dict[Side, dict[Decimal, Decimal]]:
        """Set levels (size 0 removes one); what really changed is returned, and counted as updates."""
        changed: dict[Side, dict[Decimal, Decimal]] = {"buy": {}, "sell": {}}
        for book, news, found in ((self.bids, bids, changed["buy"]), (self.asks, asks, changed["sell"])):
            for price, size in news.items():
                if book.get(price, ZERO) == size:
                    continue
                found[price] = size
                if size:
                    book[price] = size
                else:
                    del book[price]
        self.update_id += len(changed["buy"]) + len(changed["sell"])
        return changed

    def print(self, trade: Print) -> None:
        """Put a trade on the tape."""
        self.tape.append(trade)
        start = trade.ts - trade.ts % MINUTE
        if not self.candles or self.candles[-1].start < start:
            price = trade.price
            self.candles.append(Candle(start, price, price, price, price, ZERO, ZERO, ZERO, 0, trade.ts))
        self.candles[-1].add(trade)

    def bars(self, minutes: int) -> list[Candle]:
        """Candles of ``minutes`` each, oldest first, from the minutes kept."""
        found: list[Candle] = []
        for minute in self.candles:
            start = minute.start - minute.start % (minutes * MINUTE)
            if found and found[-1].start == start:
                found[-1] = _joined(found[-1], minute)
            else:
                found.append(_joined(None, minute, start))
        return found

    def day(self) -> Candle | None:
        """All minutes kept as one candle, for tickers; None before the first trade."""
        total: Candle | None = None
        for minute in self.candles:
            total = _joined(total, minute, minute.start)
        return total


def whole(old: Iterable[Decimal], new: Levels) -> dict[Decimal, Decimal]:
    """The changes that make a side of the book exactly ``new``."""
    return {**{price: ZERO for price in old if price not in new}, **new}


def _joined(one: Candle | None, two: Candle, start: int = 0) -> Candle:
    if one is None:
        return Candle(
            start, two.open, two.high, two.low, two.close,
            two.volume, two.money, two.bought, two.trades, two.last,
        )  # fmt: skip
    return Candle(
        one.start, one.open, max(one.high, two.high), min(one.low, two.low), two.close,
        one.volume + two.volume, one.money + two.money, one.bought + two.bought, one.trades + two.trades,
        two.last,
    )  # fmt: skip
