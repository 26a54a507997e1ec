"""RiskManager: every order passes here before anything else sees it. Pure: no clock, no I/O, only the
account."""

from __future__ import annotations

from sigma_bot.engine.account import used_margin
from sigma_bot.engine.types import (
    DAY,
    DONE,
    HELD,
    MINUTE,
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

    def check(self, b, symbol, side, lots, ref, reduce_only, child):
        """0 to approve, else the reason. ``ref`` is the price the order is judged at, ``child`` 1 inside a
        bracket."""
        s = b.markets[symbol]
        if lots <= 0:
            return R_QUANTITY
        if not ref > 0.0:
            return R_NO_PRICE
        if b.ts < self.trading_from:
            return R_WARMUP
        if lots < s.min_lots:
            return R_MIN_QUANTITY
        notional = notional_of(s, lots, ref)
        if notional > s.largest or abs(b.cash_quanta) > 4_000_000_000_000_000_000:
            return R_LEDGER
        if notional < s.min_notional:
            return R_MIN_NOTIONAL
        reduces = s.lots * side < 0 and lots <= abs(s.lots)
        if reduce_only != 0 and child == 0 and s.lots * side >= 0:
            return R_REDUCE_ONLY
        if not reduces and child == 0:
            stop = self.stopped(b)
            if stop != OK:
                return stop
            if s.max_lots > 0 and abs(s.lots + side * (lots + open_lots(b, symbol, side))) > s.max_lots:
                return R_POSITION
        if self.max_notional > 0 and notional > self.max_notional and not reduces:
            return R_NOTIONAL
        if self.max_open > 0 and b.n_active >= self.max_open:
            return R_OPEN_ORDERS
        if self.stale_after > 0 and b.ts - s.ts > self.stale_after:
            return R_STALE
        if self.collar > 0.0 and abs(ref - s.mid) > self.collar * s.mid:
            return R_COLLAR
        if self.max_per_minute > 0 and self.too_many(b.ts // MINUTE):
            return R_RATE
        if child == 0:
            return funds(b, symbol, side, lots, notional, reduces)
        return OK

    def too_many(self, minute):
        """Count an order of this minute; whether the limit is passed."""
        if minute != self.minute:
            self.minute = minute
            self.count = 0
        self.count += 1
        return self.count > self.max_per_minute

    def stopped(self, b):
        """Why no new exposure may be taken at all, or 0."""
        if self.halted != 0:
            return R_HALTED
        if self.max_daily_loss > 0 and (self.day_equity - b.equity) * b.scale > self.max_daily_loss:
            return R_DAILY_LOSS
        if self.max_drawdown > 0.0 and b.peak - b.equity > self.max_drawdown * b.peak:
            return R_DRAWDOWN
        return OK


def open_lots(b, symbol, side):
    """Lots of open orders on one side that would add to the position; of an OCO group the largest counts
    once."""
    n = 0
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.symbol != symbol or o.side != side or o.state == DONE or o.state == HELD or o.reduce_only != 0:
            continue
        first = True
        if o.group > 0:
            for i in range(j):
                q = b.orders[b.active[i]]
                if q.group == o.group and q.side == side and q.state != DONE and q.state != HELD:
                    first = False
        if first:
            n += o.left
    return n


def funds(b, symbol, side, lots, notional, reduces):
    """Can the account pay? Cash accounts neither borrow nor sell what they do not hold; margin accounts keep
    the initial margin. Fees and price moves until the fill are checked again when the order fills."""
    s = b.markets[symbol]
    if b.leveraged != 0:
        if not reduces and used_margin(b) + notional / b.scale * s.margin > b.equity:
            return R_FUNDS
        return OK
    if side < 0:
        return OK if lots + open_lots(b, symbol, -1) <= s.lots else R_FUNDS
    bound = 0
    for j in range(b.n_active):
        o = b.orders[b.active[j]]
        if o.side > 0 and o.state != DONE and o.state != HELD:
            m = b.markets[o.symbol]
            bound += notional_of(m, o.left, o.limit if o.limit > 0.0 else m.ask)
    return OK if notional + bound <= b.cash_quanta else R_FUNDS
