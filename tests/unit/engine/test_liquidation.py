"""Liquidation on ticks: the worst price of a tick comes before what the market reached on the other side."""

from __future__ import annotations

import pytest

from tests.unit.engine.world import broker, fills, run, ticks

MARGIN = {"type": "margin", "leverage": "9", "cash": "10000"}
CALM = (100.0, 100.0)
WILD = (95.0, 95.0, 80.0, 120.0)
"""Bid, ask, and trades from 80 to 120."""
UP = (105.0, 105.0, 80.0, 120.0)


def held(side, *orders):
    """Enters with 890 at 100; then rests the orders (side, limit, stop)."""

    def rest(b):
        for s, limit, stop in orders:
            (b.buy if s > 0 else b.sell)(890.0, limit=limit, stop=stop, reduce_only=True)

    return {0: lambda b: (b.buy if side > 0 else b.sell)(890.0), 1: rest}


@pytest.mark.parametrize(
    ("side", "orders", "row", "liquidated", "ambiguous", "price"),
    [
        (1, [(-1, 115.0, 0.0)], WILD, 1, 1, 80.0),
        (-1, [(1, 85.0, 0.0)], UP, 1, 1, 120.0),
        (1, [(-1, 0.0, 95.0), (-1, 115.0, 0.0)], WILD, 0, 0, 95.0),
        (-1, [(1, 0.0, 105.0), (1, 85.0, 0.0)], UP, 0, 0, 105.0),
        (1, [(-1, 0.0, 85.0)], WILD, 1, 0, 80.0),
        (-1, [(1, 0.0, 115.0)], UP, 1, 0, 120.0),
        (1, [], WILD, 1, 0, 80.0),
        (1, [], (80.0, 80.0), 1, 0, 80.0),
        (1, [], (100.0, 100.0, 99.0, 120.0), 0, 0, 100.0),
    ],
)
def test_the_worst_price_of_a_tick_comes_first(side, orders, row, liquidated, ambiguous, price):
    b = broker("tick", account=MARGIN)
    data = ticks(CALM, CALM, row, row[:2], size=1e6, volume=1e6)
    events = run(b, data, held(side, *orders))
    assert b.n_liquidations == liquidated
    assert b.n_ambiguous == ambiguous
    assert fills(events)[-1][3] == price


def test_a_last_price_that_only_stands_liquidates_nobody():
    b = broker("tick", account=MARGIN)
    data = ticks((80.0, 80.0, 80.0, 80.0), CALM, CALM, CALM, size=1e6)
    run(b, data, {1: lambda b: b.buy(890.0)})
    assert (b.n_fills, b.n_liquidations) == (1, 0)


def test_a_venue_liquidates_itself():
    b = broker("tick", account=MARGIN)
    run(b, ticks(CALM, CALM, CALM, size=1e6), {0: lambda b: b.buy(890.0)})
    b.external = 1
    run(b, ticks((80.0, 80.0), (80.0, 80.0)), {})
    assert b.n_liquidations == 0
