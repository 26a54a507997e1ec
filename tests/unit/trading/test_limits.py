"""Limits of an account over all its bots."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sigma_bot.model.orders import Usage
from sigma_bot.trading.limits import AccountLimits

D = Decimal
MONEY = st.decimals(0, 1000, places=2)


def usage(exposure="0", orders=0, day=1, loss="0", minute=1, count=0) -> Usage:
    return Usage(D(exposure), orders, day, D(loss), minute, count)


@given(st.lists(MONEY, min_size=1, max_size=5), MONEY)
def test_exposure_is_the_sum_over_all_bots(exposures, most):
    own, *others = [usage(str(e)) for e in exposures]
    assert bool(AccountLimits(max_exposure=most).violation(own, others)) == (sum(exposures) > most)


def test_each_limit_says_what_it_counts():
    own, other = usage("10", 3, 1, "5", 7, 4), usage("10", 3, 1, "5", 7, 4)
    assert "exposure" in AccountLimits(max_exposure=D(19)).violation(own, [other])
    assert "6 open orders" in AccountLimits(max_open_orders=5).violation(own, [other])
    assert "8 orders this minute" in AccountLimits(max_orders_per_minute=7).violation(own, [other])
    assert "loss of 10.00" in AccountLimits(max_daily_loss=D(9)).violation(own, [other])
    assert AccountLimits(D(20), 6, 8, D(10)).violation(own, [other]) == ""


def test_only_the_same_minute_and_the_same_day_count():
    own, other = usage(loss="5", count=4), usage(day=0, loss="50", minute=0, count=40)
    assert AccountLimits(max_orders_per_minute=4, max_daily_loss=D(5)).violation(own, [other]) == ""


def test_none_is_off():
    assert not AccountLimits()
    assert AccountLimits(max_open_orders=1)
    assert AccountLimits().violation(usage("1e9", 10**6), []) == ""
