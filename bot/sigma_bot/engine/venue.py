"""Venue rules as arithmetic: price grid, lots, notional and fees."""

from __future__ import annotations


def band_at(market, price):
    """Which of the price bands holds ``price``."""
    index = 0
    for i in range(1, market.n_bands):
        if price >= market.bands[i].start:
            index = i
    return index


def on_grid(market, price):
    """``price`` moved to the nearest step of its band. ``k * num / den`` is the float nearest to the venue's
    decimal."""
    band = market.bands[band_at(market, price)]
    if band.num == 0:
        return price
    return round(price * band.den / band.num) * band.num / band.den


def step_at(market, price):
    """Size of one price step at ``price``; 0 without a grid."""
    band = market.bands[band_at(market, price)]
    return band.num / band.den


def lots_of(market, quantity):
    """Whole lots in ``qty``, rounded towards zero; a quantity within 1e-9 of a lot counts as that lot (0.29
    / 0.01)."""
    exact = quantity * market.lot_den / market.lot_num
    if not abs(exact) < 9e15:
        return 0
    lots = int(round(exact))
    if abs(lots) > abs(exact) + 1e-9 * max(1.0, abs(exact)):
        lots -= 1 if lots > 0 else -1
    return lots


def quantity(market, lots):
    """``lots`` as a quantity."""
    return lots * market.lot_num / market.lot_den


def notional_of(market, lots, price):
    """Value of ``lots`` at ``price`` in quanta, to the nearest: the amount that is settled.

    Two float roundings before the last: exact while the amount stays below 10**15 quanta.
    """
    value = price * (lots * market.unit_num) / market.unit_den
    if not abs(value) < 4e18:
        return 4_000_000_000_000_000_000
    return int(round(value))


def share(amount, num, den):
    """``amount * num / den`` to the nearest integer, halves up, in exact integer arithmetic."""
    return (2 * amount * num + den) // (2 * den)


def fee_of(market, order, lots, notional, maker):
    """Fee of this fill in quanta. Fixed and minimum fees belong to the order: its fills together pay them
    once."""
    if maker != 0:
        order.fee_base += share(notional, market.maker_num, market.maker_den)
    else:
        order.fee_base += share(notional, market.taker_num, market.taker_den)
    if market.per_lot_num != 0:
        order.fee_base += share(lots, market.per_lot_num, market.per_lot_den)
    total = order.fee_base
    if market.fee_minimum > 0 and total < market.fee_minimum:
        total = market.fee_minimum
    total += market.fee_fixed
    fee = total - order.fee_paid
    order.fee_paid = total
    return fee
