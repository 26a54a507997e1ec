"""RiskManager: every order passes here before anything else sees it. Pure: no clock, no I/O, only the
account."""

from __future__ import annotations

from sigma_bot.engine.account import used_margin
from sigma_bot.engine.types import (
    DONE,
    HELD,
    OK,
    R_COLLAR,
    R_DAILY_LOSS,
    R_DRAWDOWN,
    R_FUNDS,
    R_HALTED,
    R_LEDGER,
    R_MIN_NOTIONAL,
    R_MIN_QUANTITY,
    R_NO_PRICE,
    R_NOTIONAL,
    R_OPEN_ORDERS,
    R_POSITION,
    R_QUANTITY,
    R_RATE,
    R_REDUCE_ONLY,
    R_STALE,
    R_WARMUP,
)
from sigma_bot.engine.venue import notional_of
from sigma_bot.kernel.struct import Struct
from sigma_bot.times import DAY, MINUTE


class RiskManager(Struct):
    """Limits and the counters they need. A limit of 0 is off. Money limits are quanta, fractions are of 1.

    An order that only reduces the position passes halts and loss limits: a stopped strategy must be able to
    leave.
    """

    max_notional: int
    max_open: int
    max_per_minute: int
    max_daily_loss: int
    max_drawdown: float
    collar: float
    stale_after: int
    day_offset: int
    trading_from: int
    halted: int
    minute: int
    count: int
    next_day: int
    day_equity: float

    def roll_day(self, ts, equity):
        """Start the venue's day that holds ``ts``: daily loss counts from ``equity``."""
        self.day_equity = equity
        self.next_day = ts + DAY - (ts + self.day_offset) % DAY

    def check(self, broker, symbol, side, lots, reference, reduce_only, child):
        """0 to approve, else the reason. ``ref`` is the price the order is judged at, ``child`` 1 inside a
        bracket."""
        market = broker.markets[symbol]
        if lots <= 0:
            return R_QUANTITY
        if not reference > 0.0:
            return R_NO_PRICE
        if broker.ts < self.trading_from:
            return R_WARMUP
        if lots < market.min_lots:
            return R_MIN_QUANTITY
        notional = notional_of(market, lots, reference)
        if notional > market.largest or abs(broker.cash_quanta) > 4_000_000_000_000_000_000:
            return R_LEDGER
        if notional < market.min_notional:
            return R_MIN_NOTIONAL
        reduces = market.lots * side < 0 and lots <= abs(market.lots)
        if reduce_only != 0 and child == 0 and market.lots * side >= 0:
            return R_REDUCE_ONLY
        if not reduces and child == 0:
            reason = self.stopped(broker)
            if reason != OK:
                return reason
            if (
                market.max_lots > 0
                and abs(market.lots + side * (lots + open_lots(broker, symbol, side))) > market.max_lots
            ):
                return R_POSITION
        if self.max_notional > 0 and notional > self.max_notional and not reduces:
            return R_NOTIONAL
        if self.max_open > 0 and broker.n_active >= self.max_open:
            return R_OPEN_ORDERS
        if self.stale_after > 0 and broker.ts - market.ts > self.stale_after:
            return R_STALE
        if self.collar > 0.0 and abs(reference - market.mid) > self.collar * market.mid:
            return R_COLLAR
        if self.max_per_minute > 0 and self.too_many(broker.ts // MINUTE):
            return R_RATE
        if child == 0:
            return check_funds(broker, symbol, side, lots, notional, reduces)
        return OK

    def too_many(self, minute):
        """Count an order of this minute; whether the limit is passed."""
        if minute != self.minute:
            self.minute = minute
            self.count = 0
        self.count += 1
        return self.count > self.max_per_minute

    def stopped(self, broker):
        """Why no new exposure may be taken at all, or 0."""
        if self.halted != 0:
            return R_HALTED
        if self.max_daily_loss > 0 and (self.day_equity - broker.equity) * broker.scale > self.max_daily_loss:
            return R_DAILY_LOSS
        if self.max_drawdown > 0.0 and broker.peak - broker.equity > self.max_drawdown * broker.peak:
            return R_DRAWDOWN
        return OK


def open_lots(broker, symbol, side):
    """Lots of open orders on one side that would add to the position; of an OCO group the largest counts
    once."""
    total = 0
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if (
            order.symbol != symbol
            or order.side != side
            or order.state == DONE
            or order.state == HELD
            or order.reduce_only != 0
        ):
            continue
        first = True
        if order.group > 0:
            for j in range(i):
                other = broker.orders[broker.active[j]]
                if (
                    other.group == order.group
                    and other.side == side
                    and other.state != DONE
                    and other.state != HELD
                ):
                    first = False
        if first:
            total += order.remaining
    return total


def check_funds(broker, symbol, side, lots, notional, reduces):
    """Can the account pay? Cash accounts neither borrow nor sell what they do not hold; margin accounts keep
    the initial margin. Fees and price moves until the fill are checked again when the order fills."""
    market = broker.markets[symbol]
    if broker.leveraged != 0:
        if not reduces and used_margin(broker) + notional / broker.scale * market.margin > broker.equity:
            return R_FUNDS
        return OK
    if side < 0:
        return OK if lots + open_lots(broker, symbol, -1) <= market.lots else R_FUNDS
    bound = 0
    for i in range(broker.n_active):
        order = broker.orders[broker.active[i]]
        if order.side > 0 and order.state != DONE and order.state != HELD:
            other = broker.markets[order.symbol]
            bound += notional_of(other, order.remaining, order.limit if order.limit > 0.0 else other.ask)
    return OK if notional + bound <= broker.cash_quanta else R_FUNDS
