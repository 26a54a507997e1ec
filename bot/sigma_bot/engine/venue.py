"""Venue rules as arithmetic: price grid, lots, notional and fees."""

from __future__ import annotations

# What `lots_of` says of a quantity that cannot be counted in lots.
UNCOUNTABLE = -4_611_686_018_427_387_904
# Beyond this a float no longer tells one lot from the next.
MOST_LOTS = 9e15
# An account whose whole worth is more lots than this gets coarser ones, where the lot was left to us.
ROOMY_LOTS = 1e15
# Two roundings of a float: 0.29 / 0.01 is 28.999999999999996.
ROUNDING = 1.0 + 4.5e-16


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
    """Whole lots in ``quantity``, towards zero; UNCOUNTABLE for NaN and for more than MOST_LOTS.

    A quantity that misses a lot by no more than two roundings of a float counts as that lot (0.29 / 0.01).
    """
    exact = quantity * market.lot_den / market.lot_num
    if not abs(exact) < MOST_LOTS:
        return UNCOUNTABLE
    lots = int(exact)
    beyond = lots + (1 if exact > 0.0 else -1)
    if abs(beyond * market.lot_num / market.lot_den) <= abs(quantity) * ROUNDING:
        return beyond
    return lots


def lots_shown(market, quantity):
    """Whole lots in a size or a volume of the data, which may be larger than any order can be."""
    if quantity * market.lot_den / market.lot_num >= MOST_LOTS:
        return 9_000_000_000_000_000
    lots = lots_of(market, quantity)
    return lots if lots > 0 else 0


def coarser(market):
    """Make the market's lot ten times as large. Nothing may be held or open."""
    if market.lot_den % 10 == 0:
        market.lot_den //= 10
    else:
        market.lot_num *= 10
    if market.unit_den % 10 == 0:
        market.unit_den //= 10
    else:
        market.unit_num *= 10
    if market.per_lot_den % 10 == 0:
        market.per_lot_den //= 10
    else:
        market.per_lot_num *= 10
    market.fee_per_lot *= 10.0
    market.min_lots = -(-market.min_lots // 10)
    market.max_lots //= 10


def quantity(market, lots):
    """``lots`` as a quantity."""
    return lots * market.lot_num / market.lot_den


def notional_of(market, lots, price):
    """Value of ``lots`` at ``price`` in quanta, to the nearest: the amount that is settled.

    Two float roundings before the last: exact while the amount stays below 10**15 quanta.
    """
    value = price * (lots * market.unit_num)
    if market.unit_den != 1:
        value /= market.unit_den
    if not abs(value) < 4e18:
        return 4_000_000_000_000_000_000
    return int(round(value))


def position_value(market, price):
    """Value of the position at ``price`` in quanta, negative when short: what closing there would settle."""
    if market.lots >= 0:
        return notional_of(market, market.lots, price)
    return -notional_of(market, -market.lots, price)


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
