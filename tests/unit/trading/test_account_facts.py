"""Fees in any currency, parts of large orders, and exits that a position loses; without a venue."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bot.model.orders import State
from sigma_bot.trading.order_parts import part_of, waits_for_price
from sigma_bot.venues.types import OrderSizes, PriceLimits, VenueMarket
from tests.unit.trading.test_order_manager import NOW, Bench, execution, report

D = Decimal


def market(**known: Any) -> VenueMarket:
    """The venue's rules of AAABBB."""
    usual = ((D(0), D("0.01")),), D("0.001"), D("0.001"), D(0), True, D(0), D("0.001")
    return VenueMarket("AAABBB", "AAA", "BBB", *usual, **known)


def bought(bench: Bench, fee: str = "0", currency: str = "BBB", what: int = 1):
    """An entry of one unit, filled."""
    (row,), _ = bench.tick(what)
    bench.settle(row, report(row, "filled", D(1)), [execution(row, 1, D(1), fee, currency)])
    return row


def test_a_fee_in_another_currency_is_owed_until_it_has_a_price():
    bench = Bench()
    bought(bench, "0.5", "CCC")
    broker = bench.decisions.broker
    before = broker.cash_quanta
    assert bench.orders.fees.told() == {"CCC": D("0.5")}
    again = Bench(bench.text())
    assert again.orders.fees.told() == {"CCC": D("0.5")}, "a restart forgets nothing"
    change = again.change()
    again.orders.settle_fees(change, "CCC", D(20))
    broker = again.decisions.broker
    assert before - broker.cash_quanta == broker.fee_quanta == 10 * 10**8
    assert broker.equity == pytest.approx(broker.cash + 100.0)
    assert [row.kind for row in change.inputs] == ["fee"]
    assert again.orders.fees.told() == {}
    again.orders.settle_fees(change, "CCC", D(30))  # a later price charges nothing twice
    assert broker.fee_quanta == 10 * 10**8


def test_a_fee_whose_price_is_known_is_charged_with_its_fill():
    bench = Bench()
    bench.orders.settle_fees(bench.change(), "CCC", D(20))
    bought(bench, "0.5", "CCC")
    assert bench.decisions.broker.fee_quanta == 10 * 10**8
    (fill,) = [f for change in bench.changes for f in change.fills]
    assert (fill.fee, fill.fee_currency) == (D("0.5"), "CCC"), "the journal keeps what the venue took"


@pytest.mark.parametrize(("fee", "lots", "quanta"), [("0.0015", 0, 15_000_000), ("0", 0, 0)])
def test_a_fee_in_units_of_a_sale_is_money_where_no_unit_is_left(fee, lots, quanta):
    bench = Bench()
    bought(bench)
    broker = bench.decisions.broker
    broker.risk.halted = 1
    bench.decisions.flatten()
    (row,), _ = bench.tick(0)
    bench.settle(row, report(row, "filled", D(1)), [execution(row, 2, D(1), fee, "AAA")])
    assert bench.market.lots == lots, "never less than nothing"
    assert broker.fee_quanta == quanta


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 500), st.integers(20, 900))
def test_parts_make_up_the_whole_and_none_is_small(lots, most):
    bench = Bench()
    bought(bench)
    bench.orders.venue_markets = {"AAABBB": market(sizes=OrderSizes(quantity=D(most) / 1000))}
    bench.market.lots = left = lots
    bench.decisions.flatten()
    sent = []
    while left > 0:
        (row,), _ = bench.tick(0)
        sent.append(int(row.quantity * 1000))
        fill = execution(row, 10 + len(sent), row.quantity)
        bench.settle(row, report(row, "filled", row.quantity), [fill])
        left -= sent[-1]
    assert sum(sent) == lots
    assert max(sent) <= most
    assert min(sent) * 2 > min(lots, most) - 2
    assert bench.market.lots == 0
    assert bench.decisions.broker.n_active == 0


def test_the_largest_order_by_quantity_and_by_value():
    sizes = OrderSizes(D(10), D(4), D(300), D(0))
    assert sizes.largest(True, D(100)) == D(4)
    assert sizes.largest(False, D(100)) == D(3)
    assert sizes.largest(False, D(1)) == D(10)
    assert OrderSizes().largest(True, D(100)) == 0


def test_where_a_limit_may_lie():
    limits = PriceLimits(D(1), D(1000), (D("0.2"), D(5)), (D("0.5"), D(2)))
    assert limits.allows("buy", D(20), D(100))
    assert not limits.allows("buy", D("19.99"), D(100))
    assert not limits.allows("sell", D("200.01"), D(100))
    assert limits.allows("sell", D(200), D(100))
    assert not limits.allows("buy", D(1001), D(900))
    assert PriceLimits().allows("sell", D("1e9"), D(1))


def test_only_an_exit_waits_for_its_price():
    bench = Bench()
    narrow = market(prices=PriceLimits(sell=(D("0.95"), D("1.05")), buy=(D("0.99"), D("1.01"))))
    bought(bench, what=3)  # its target is 10 % away
    broker = bench.decisions.broker
    exits = [o for o in broker.orders if o.parent > 0]
    assert [waits_for_price(broker, o, narrow) for o in exits if o.limit > 0.0] == [True]
    assert not any(waits_for_price(broker, o, None) for o in exits)
    assert all(part_of(broker, o, None) == o.remaining for o in exits)


def alerts(bench: Bench) -> list[str]:
    """What a human is told, after a step of nothing."""
    bench.tick(0)
    return [n.code for change in bench.changes for n in change.notices if n.kind == "alert"]


@pytest.mark.parametrize("ended", [State.REJECTED, State.NOT_FOUND])
def test_a_refused_target_is_a_lost_exit(ended):
    bench = Bench()
    bought(bench, what=3)
    (target,), _ = bench.tick(0)
    bench.orders.end(bench.change(), target, ended, "no", NOW)
    assert alerts(bench) == ["unprotected"]


@pytest.mark.parametrize("told", ["cancelled", "expired"])
def test_a_target_that_the_venue_ended_is_a_lost_exit(told):
    bench = Bench()
    bought(bench, what=3)
    (target,), _ = bench.tick(0)
    bench.settle(target, report(target, told, D(0)), [])
    assert alerts(bench) == ["unprotected"]


def test_an_exit_that_goes_since_the_other_fills_is_none():
    bench = Bench()
    bought(bench, what=3)
    (target,), _ = bench.tick(0)
    bench.settle(target, report(target, "filled", D(1)), [execution(target, 2, D(1))])
    assert alerts(bench) == []
    assert bench.market.lots == 0


def test_an_entry_that_fills_after_it_was_given_up_has_no_exit():
    bench = Bench()
    (entry,), _ = bench.tick(3)
    bench.orders.end(bench.change(), entry, State.NOT_FOUND, "not found", NOW)
    bench.tick(0)
    again = Bench(bench.text())
    again.orders.track(entry, ())
    again.settle(entry, report(entry, "filled", D(1)), [execution(entry, 1, D(1))])
    assert again.market.lots == 1000
    assert alerts(again) == ["unprotected"]
