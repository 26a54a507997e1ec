"""Venue rules as arithmetic: price grid, lots, notional and fees."""

from __future__ import annotations


def band_at(s, price):
    """Which of the price bands holds ``price``."""
    j = 0
    for k in range(1, s.n_bands):
        if price >= s.bands[k].start:
            j = k
    return j


def on_grid(s, price):
    """``price`` moved to the nearest step of its band. ``k * num / den`` is the float nearest to the venue's
    decimal."""
    g = s.bands[band_at(s, price)]
    if g.num == 0:
        return price
    return round(price * g.den / g.num) * g.num / g.den


def step_at(s, price):
    """Size of one price step at ``price``; 0 without a grid."""
    g = s.bands[band_at(s, price)]
    return g.num / g.den


def lots_of(s, qty):
    """Whole lots in ``qty``, rounded towards zero; a quantity within 1e-9 of a lot counts as that lot (0.29
    / 0.01)."""
    n = qty * s.lot_den / s.lot_num
    if not abs(n) < 9e15:
        return 0
    k = int(round(n))
    if abs(k) > abs(n) + 1e-9 * max(1.0, abs(n)):
        k -= 1 if k > 0 else -1
    return k


def quantity(s, lots):
    """``lots`` as a quantity."""
    return lots * s.lot_num / s.lot_den


def notional_of(s, lots, price):
    """Value of ``lots`` at ``price`` in quanta, to the nearest: the amount that is settled.

    Two float roundings before the last: exact while the amount stays below 10**15 quanta.
    """
    x = price * (lots * s.unit_num) / s.unit_den
    if not abs(x) < 4e18:
        return 4_000_000_000_000_000_000
    return int(round(x))


def share(amount, num, den):
    """``amount * num / den`` to the nearest integer, halves up, in exact integer arithmetic."""
    return (2 * amount * num + den) // (2 * den)


def fee_of(s, o, lots, notional, maker):
    """Fee of this fill in quanta. Fixed and minimum fees belong to the order: its fills together pay them
    once."""
    if maker != 0:
        o.fee_base += share(notional, s.maker_num, s.maker_den)
    else:
        o.fee_base += share(notional, s.taker_num, s.taker_den)
    if s.per_lot_num != 0:
        o.fee_base += share(lots, s.per_lot_num, s.per_lot_den)
    total = o.fee_base
    if s.fee_minimum > 0 and total < s.fee_minimum:
        total = s.fee_minimum
    total += s.fee_fixed
    fee = total - o.fee_paid
    o.fee_paid = total
    return fee
