"""Quantities in lots: towards zero, and what cannot be counted is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.engine.venue import MOST_LOTS, UNCOUNTABLE, lots_of, lots_shown
from sigma_bot.runtime.checkpoint import dump, load
from tests.unit.engine.world import Script, bars, broker, fills, run, ticks, whys

FLAT = (100.0, 100.0, 100.0, 100.0)
QUOTE = (100.0, 100.0)
NAN, INFINITE = float("nan"), float("inf")


def rows(kind):
    return bars(*[FLAT] * 6) if kind == "bar" else ticks(*[QUOTE] * 6, size=1000.0)


@given(
    st.floats(-1e9, 1e9),
    st.sampled_from(["0.00000001", "0.000001", "0.001", "0.03", "1", "100"]),
)
def test_lots_never_exceed_what_was_asked(quantity, lot):
    market = broker("bar", market={"lotSize": lot}).markets[0]
    lots = lots_of(market, quantity)
    if lots == UNCOUNTABLE:
        assert abs(quantity) / float(lot) >= 8e15
        return
    asked, got = abs(Fraction(quantity)), abs(lots) * Fraction(lot)
    assert got <= asked * (1 + Fraction(1, 10**15))
    assert asked - got < Fraction(lot) * (1 + Fraction(1, 10**6))
    assert lots * quantity >= 0


@pytest.mark.parametrize(
    ("quantity", "lot", "lots"), [(0.29, "0.01", 29), (0.3 - 0.1, "0.1", 2), (-0.29, "0.01", -29)]
)
def test_a_float_that_means_a_lot_is_that_lot(quantity, lot, lots):
    assert lots_of(broker("bar", market={"lotSize": lot}).markets[0], quantity) == lots


@pytest.mark.parametrize(
    ("price", "fraction", "expected"), [(6.0, 1.0, 1666.66666666), (7.0, 0.5, 714.28571428)]
)
def test_a_fraction_of_everything_can_be_paid(price, fraction, expected):
    b = broker("bar", market={"lotSize": "0.00000001"}, account={"cash": "10000"})
    events = run(b, bars(*[(price,) * 4] * 3), {0: lambda b: b.target_fraction(fraction)})
    assert fills(events) == [(0, 1, expected, price)]


@pytest.mark.parametrize("kind", ["bar", "tick"])
@pytest.mark.parametrize("bad", [NAN, INFINITE, -INFINITE, 1e300, 1e16])
@pytest.mark.parametrize(
    "ask",
    [
        lambda b, bad: b.target(bad),
        lambda b, bad: b.target_fraction(bad),
        lambda b, bad: b.buy(bad),
        lambda b, bad: b.sell(bad),
        lambda b, bad: b.sell(bad, limit=101.0),
    ],
)
def test_what_cannot_be_counted_is_refused_and_moves_nothing(ask, bad, kind):
    b = broker(kind, market={"lotSize": "0.00000001"}, account={"type": "margin"})
    b.has_volume = 1
    events = run(b, rows(kind), {0: lambda b: b.buy(10.0), 3: lambda b: ask(b, bad)})
    assert len(fills(events)) == 1
    assert b.markets[0].qty == 10.0
    assert whys(events, "reject") == ["quantity is not finite or too large to count"]


def test_a_change_to_what_cannot_be_counted_is_refused():
    said: list[bool] = []
    b = broker("bar")
    ids: dict[str, int] = {}
    actions = {
        0: lambda b: ids.update(a=b.buy(10.0, limit=50.0)),
        2: lambda b: said.extend(b.modify(ids["a"], qty=bad) for bad in (NAN, INFINITE, 1e300)),
    }
    run(b, rows("bar"), actions)
    assert said == [False] * 3
    assert b.orders[b.active[0]].remaining == 10_000


def test_a_size_beyond_counting_is_much_and_not_nothing():
    market = broker("tick", market={"lotSize": "0.00000001"}).markets[0]
    assert lots_shown(market, 1e12) == lots_shown(market, INFINITE) == MOST_LOTS
    assert lots_shown(market, NAN) == lots_shown(market, -1.0) == 0
    b = broker("tick", market={"lotSize": "0.00000001"})
    events = run(b, ticks(*[QUOTE] * 3, size=1e12), {0: lambda b: b.buy(1.0, limit=100.0)})
    assert fills(events) == [(0, 1, 1.0, 100.0)] or len(fills(events)) == 1


@pytest.mark.parametrize("kind", ["bar", "tick"])
@pytest.mark.parametrize("price", [1e-8, 0.0005, 0.0182, 1.0, 1e8])
def test_a_lot_that_nobody_gave_leaves_room(price, kind):
    cash = "10000000"
    b = broker(kind, market={"lotSize": None, "tickSize": None, "minQuantity": "3"}, account={"cash": cash})
    flat = bars(*[(price,) * 4] * 5) if kind == "bar" else ticks(*[(price, price)] * 5, size=1e18)
    events = run(b, flat, {0: lambda b: b.target_fraction(0.1), 2: lambda b: b.target_fraction(0.2)})
    assert [f[1] for f in fills(events)] == [1, 1] if price < 1e6 else len(fills(events)) == 0
    market = b.markets[0]
    assert market.lots * 5 <= 10**15 * 1.001
    assert market.lots * market.lot_num / market.lot_den == pytest.approx(
        0.2 * 1e7 / price if price < 1e6 else 0, rel=1e-9
    )
    assert market.min_lots * market.lot_num >= 3 * market.lot_den


def test_a_lot_that_was_given_is_kept():
    b = broker("bar", market={"lotSize": "0.00000001", "tickSize": None}, account={"cash": "10000000"})
    events = run(b, bars(*[(0.0182,) * 4] * 5), {0: lambda b: b.target_fraction(1.0)})
    assert whys(events, "reject") == ["quantity is not finite or too large to count"]
    assert (b.markets[0].lot_num, b.markets[0].lot_den) == (1, 10**8)


def test_a_chosen_lot_outlives_restart_and_swap():
    def built():
        return broker("tick", market={"lotSize": None, "tickSize": None}, account={"cash": "10000000"})

    b = built()
    run(b, ticks(*[(0.0182, 0.0182)] * 3, size=1e18), {0: lambda b: b.target_fraction(0.2)})
    market = b.markets[0]
    text = dump(b, Script({}), {})
    for strategy in (Script({}), None):
        again = built()
        load(text, again, strategy)
        assert again.markets[0].lots == market.lots
        assert (again.markets[0].lot_num, again.markets[0].lot_den) == (market.lot_num, market.lot_den)
        assert (again.markets[0].unit_num, again.markets[0].unit_den) == (market.unit_num, market.unit_den)
