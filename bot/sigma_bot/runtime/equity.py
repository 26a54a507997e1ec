"""The equity curve of a bot in SIM and LIVE: points at a bounded rate, stored with the step that they show.

At most one a minute, from the first step stored in it, and at each day's end the last one stored before it,
when the minute's is not that already. No point is taken back or thinned later. A bot that stores nothing
makes no point. Pure: the time is the ticks'.
"""

from __future__ import annotations

from decimal import Decimal

from sigma_bot.engine.broker import Broker
from sigma_bot.model.orders import EquityPoint
from sigma_bot.model.units import money_of
from sigma_bot.times import DAY, MINUTE


class EquitySampler:
    """Chooses the points of one session. ``since`` (ns) is the time of the state it goes on from, whose
    minute has its point; ``precision`` the currency's decimals."""

    def __init__(self, since: int, precision: int) -> None:
        self._sampled_at = since
        self._precision = precision
        self._last: EquityPoint | None = None  # of the step stored last

    def sample(self, broker: Broker) -> list[EquityPoint]:
        """The points to store with the step that ends now: none, or this one, or the old day's end too."""
        if broker.row < 0:  # no tick yet: nothing is worth anything
            return []
        point, before = point_of(broker, self._precision), self._last
        self._last = point
        if point.ts // MINUTE <= self._sampled_at // MINUTE:
            return []
        points = [point]
        offset = broker.risk.day_offset
        if (
            before is not None
            and before.ts > self._sampled_at
            and _day(before.ts, offset) < _day(point.ts, offset)
        ):
            points.insert(0, before)
        self._sampled_at = point.ts
        return points


def point_of(broker: Broker, precision: int) -> EquityPoint:
    """What the account is worth at the last marks. Equity and exposure are rounded to the currency's
    decimals."""
    exposure = sum(abs(market.qty) * market.mid for market in broker.markets[: broker.n_markets])
    return EquityPoint(
        ts=broker.ts,
        equity=_rounded(broker.equity, precision),
        cash=money_of(broker.cash_quanta, precision),
        exposure=_rounded(exposure, precision),
    )


def _rounded(amount: float, precision: int) -> Decimal:
    return round(Decimal(repr(amount)), precision)


def _day(ts: int, offset: int) -> int:
    """Number of the venue's day."""
    return (ts + offset) // DAY
