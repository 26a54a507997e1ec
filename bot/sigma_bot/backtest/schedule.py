"""What happens between the rows of the data: funding payments, and markets whose data end early.

Where each falls is decided by the rows alone, never by how they were cut into chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sigma_bot.backtest.session import Columns, CompiledSession, InterpretedSession
from sigma_bot.data.market import MarketData
from sigma_bot.engine.types import MAX_PAYMENTS
from sigma_bot.errors import BadInputError
from sigma_bot.model.ticks import INTERVAL
from sigma_bot.times import MINUTE, iso

NOTHING = np.zeros(0, [("ts", "i8"), ("symbol", "i4"), ("rate", "f8")])


@dataclass(frozen=True)
class Payment:
    """A funding payment at ``ts`` (ns): before the next row, or ``inside`` it."""

    symbol: int
    rate: float
    ts: int
    inside: bool

    def apply(self, session: CompiledSession | InterpretedSession, rule: int) -> None:
        """Make it in a run."""
        del rule
        session.fund(self.symbol, self.rate, self.ts, self.inside)


@dataclass(frozen=True)
class Ending:
    """The last row of a symbol has been run, others go on."""

    symbol: int

    def apply(self, session: CompiledSession | InterpretedSession, rule: int) -> None:
        """Make it in a run."""
        session.ended.append((self.symbol, session.end_market(self.symbol, rule)))


class Schedule:
    """Goes through the chunks of a market once, in order.

    A payment at the end of its symbol's bar (or on the grid of the ticks) falls on the position held after
    every row that is known then. Any other falls inside the symbol's next row, when that row covers its time,
    else before that row: a symbol whose data have ended pays nothing any more.
    """

    def __init__(self, market: MarketData) -> None:
        self.bars = market.kind == "bar"
        self.due: NDArray[np.void] = NOTHING if market.funding is None else market.funding
        self.last_end = [-1] * len(market.symbols)
        slack = 0 if self.bars else MINUTE
        self.endings = [(end, s) for s, end in enumerate(market.ends) if end + slack < market.end]

    def parts(self, columns: Columns) -> Iterator[tuple[list[Payment | Ending], Columns]]:
        """The chunk in parts, each with what happens before its first row."""
        places: dict[int, list[Payment | Ending]] = {}
        stamps = columns["end" if self.bars else "ts"]
        self._place_endings(stamps, places)
        if len(self.due) and self.due["ts"][0] < stamps[-1]:
            self._place_payments(columns, stamps, places)
        if self.bars and len(self.due):
            for symbol in range(len(self.last_end)):
                own = stamps[columns["symbol"] == symbol]
                self.last_end[symbol] = int(own[-1]) if len(own) else self.last_end[symbol]
        starts = sorted({0, len(stamps), *places})
        for lo, hi in pairwise(starts):
            yield places.get(lo, []), {name: c[lo:hi] for name, c in columns.items()}

    def _place_endings(self, stamps: NDArray[np.int64], places: dict[int, list[Payment | Ending]]) -> None:
        for end, symbol in list(self.endings):
            place = int(np.searchsorted(stamps, end, "right"))
            if place < len(stamps):
                places.setdefault(place, []).append(Ending(symbol))
                self.endings.remove((end, symbol))

    def _place_payments(
        self, columns: Columns, stamps: NDArray[np.int64], places: dict[int, list[Payment | Ending]]
    ) -> None:
        starts = columns["ts"] if self.bars else stamps - INTERVAL
        rows = [np.flatnonzero(columns["symbol"] == s) for s in range(len(self.last_end))]
        kept = np.ones(len(self.due), bool)
        for k in range(int(np.searchsorted(self.due["ts"], stamps[-1], "left"))):
            ts, symbol, rate = (self.due[k][name].item() for name in ("ts", "symbol", "rate"))
            own = rows[symbol]
            after = int(np.searchsorted(stamps[own], ts, "right"))
            if self.bars:
                before = int(stamps[own[after - 1]]) if after else self.last_end[symbol]
                between = before == ts
            else:
                between = ts % INTERVAL == 0
            if between:
                place = int(np.searchsorted(stamps, ts, "right"))
            elif after < len(own):
                place = int(own[after])
            else:
                continue
            kept[k] = False
            inside = not between and int(starts[place]) < ts
            places.setdefault(place, []).append(Payment(symbol, rate, ts, inside))
            if len(places[place]) > MAX_PAYMENTS:
                raise BadInputError(
                    f"spec.data.funding: more than {MAX_PAYMENTS} payments in the row that holds {iso(ts)}; "
                    "take bars of a shorter timeframe"
                )
        self.due = self.due[kept]
