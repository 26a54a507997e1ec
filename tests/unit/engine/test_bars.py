"""Fill rules on bars: what acts at the open, inside, and what the data cannot tell."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.engine.world import bars, broker, fills, run, whys

B = (100.0, 101.0, 99.0, 100.5)


def bar_broker(**spec):
    return broker("bar", **spec)


def test_market_order_fills_at_the_next_open_with_half_the_spread_and_slippage():
    rows = bars(B, (102.0, 103.0, 101.0, 102.0))
    assert fills(run(bar_broker(), rows, {0: lambda b: b.buy(1.0)})) == [(0, 1, 1.0, 102.0)]
    b = bar_broker(execution={"spread": "0.002", "slippage": "0.01"})
    assert fills(run(b, rows, {0: lambda b: b.buy(1.0)})) == [(0, 1, 1.0, 103.12)]


def test_fill_at_close():
    b = bar_broker(execution={"fillAt": "close"})
    assert fills(run(b, bars(B, B), {0: lambda b: b.buy(1.0)})) == [(0, 1, 1.0, 100.5)]


def test_latency_of_a_bar_or_more_skips_opens():
    b = bar_broker(execution={"latency": "61s"})
    rows = bars(B, B, B, (105.0, 105.0, 105.0, 105.0))
    assert [f[3] for f in fills(run(b, rows, {0: lambda b: b.buy(1.0)}))] == [105.0]


def test_limit_needs_a_trade_beyond_it_and_rests_at_its_own_price():
    rows = bars(B, (100.0, 100.2, 99.5, 100.0), (100.0, 100.2, 99.4, 100.0))
    assert fills(run(bar_broker(), rows, {0: lambda b: b.buy(1.0, limit=99.5)})) == [(2, 1, 1.0, 99.5)]


def test_resting_limit_beyond_which_the_market_opens_keeps_its_price():
    rows = bars(B, B, (97.0, 98.0, 96.0, 97.0))
    assert fills(run(bar_broker(), rows, {0: lambda b: b.buy(1.0, limit=98.5)})) == [(1, 1, 1.0, 98.5)]


def test_limit_arriving_marketable_fills_at_the_open():
    rows = bars(B, (97.0, 98.0, 96.0, 97.0))
    assert fills(run(bar_broker(), rows, {0: lambda b: b.buy(1.0, limit=98.5)})) == [(0, 1, 1.0, 97.0)]


def test_volume_limit_parts_a_fill():
    b = bar_broker(execution={"volumeLimit": "0.01"})
    low = (100.0, 100.0, 98.0, 99.0)
    rows = bars(B, low, low, low, volume=40.0)
    got = fills(run(b, rows, {0: lambda b: b.buy(1.0, limit=98.5)}))
    assert [f[2] for f in got] == [0.4, 0.4, 0.2]


def test_stop_fills_at_its_price_or_at_a_worse_open():
    hold = {0: lambda b: (b.buy(1.0), b.sell(1.0, stop=98.0))}
    touched = bars(B, (100.0, 101.0, 97.0, 99.0))
    b = bar_broker(account={"type": "margin"})
    assert fills(run(b, touched, hold))[1] == (1, -1, 1.0, 98.0)
    later = {0: lambda b: b.buy(1.0), 1: lambda b: b.sell(1.0, stop=98.0)}
    assert fills(run(bar_broker(), bars(B, B, (95.0, 96.0, 94.0, 95.0)), later))[1] == (1, -1, 1.0, 95.0)


@pytest.mark.parametrize(("side", "expected"), [(1, 98.0), (-1, 102.0)])
def test_the_adverse_extreme_comes_first_and_the_bar_is_counted(side, expected):
    b = bar_broker(account={"type": "margin"})

    def enter(b):
        if side > 0:
            b.buy(1.0, stop_loss=98.0, take_profit=102.0)
        else:
            b.sell(1.0, stop_loss=102.0, take_profit=98.0)

    rows = bars(B, (100.0, 100.1, 99.9, 100.0), (100.0, 103.0, 97.0, 100.0))
    got = fills(run(b, rows, {0: enter}))
    assert got[1][1:] == (-side, 1.0, expected)
    assert b.n_ambiguous == 1


def test_exit_woken_inside_a_bar_only_hurts():
    # the entry fills on the way down; the bar's high beyond the target may have come before: it waits
    rows = bars(B, (100.0, 103.0, 99.0, 102.0), (102.0, 102.5, 101.9, 102.0))
    b = bar_broker()
    got = fills(run(b, rows, {0: lambda b: b.buy(1.0, limit=99.5, take_profit=101.0)}))
    assert [f[3] for f in got] == [99.5, 101.0]
    assert [f[0] for f in got] == [1, 1], (
        "the second fill is at the third bar's open, whose time is this bar's end"
    )
    # while a stop inside the same bar is taken
    b = bar_broker()
    got = fills(run(b, rows, {0: lambda b: b.buy(1.0, limit=99.5, stop_loss=99.2)}))
    assert [f[3] for f in got] == [99.5, 99.2]
    # also when the low may have come before the entry
    b = bar_broker()
    got = fills(run(b, rows, {0: lambda b: b.buy(1.0, stop=101.0, stop_loss=99.5)}))
    assert [f[3] for f in got] == [101.0, 99.5]


def test_trailing_stop_inside_bars():
    rows = bars(B, (100.0, 100.0, 100.0, 100.0), (100.0, 104.0, 99.5, 103.8), (103.8, 103.9, 102.5, 103.0))
    got = fills(run(bar_broker(), rows, {0: lambda b: b.buy(1.0), 1: lambda b: b.sell(1.0, trail=1.0)}))
    assert got[1] == (3, -1, 1.0, 103.0)


def test_orders_of_one_leg_act_in_the_order_of_the_path():
    def rest(b):
        b.buy(1.0, limit=98.0)
        b.buy(1.0, limit=99.0)

    got = fills(run(bar_broker(), bars(B, (100.0, 100.0, 97.0, 97.5)), {0: rest}))
    assert [f[3] for f in got] == [99.0, 98.0]


def test_longer_bars_are_built_and_delivered_at_their_end():
    from sigma_bot.backtest.session import InterpretedSession
    from sigma_bot.strategy import Strategy

    seen = []

    class Watch(Strategy):
        def on_bar(self, bar, broker):
            seen.append((bar.timeframe // 60_000_000_000, bar.open, bar.high, bar.low, bar.close, bar.volume))

    columns = bars(*[(100.0 + i, 102.0 + i, 99.0 + i, 101.0 + i) for i in range(9)], volume=10.0)
    columns["ts"] -= 3 * 60_000_000_000  # the first three bars complete a bar of five minutes
    columns["end"] -= 3 * 60_000_000_000
    from sigma_bot.times import MINUTE

    first = int(-columns["ts"][0] // MINUTE % 5)
    b = bar_broker(timeframes=["5m"])
    InterpretedSession(Watch(), b, "bar").feed(columns, lambda _: None)
    assert seen[0] == (5, 100.0, 101.0 + first, 99.0, 100.0 + first, 10.0 * first)
    assert seen[1] == (5, 100.0 + first, 106.0 + first, 99.0 + first, 105.0 + first, 50.0)


def test_cash_account_buys_what_the_cash_pays_at_the_fill():
    b = bar_broker(account={"cash": "1000"})
    rows = bars(B, (110.0, 110.0, 110.0, 110.0))
    events = run(b, rows, {0: lambda b: b.target_fraction(1.0)})
    assert fills(events) == [(0, 1, 9.09, 110.0)]
    assert whys(events, "cancel") == ["insufficient funds"]
    assert 0 <= b.cash_quanta < 110 * 10**5


def test_a_cancel_cannot_undo_what_happened_in_the_other_symbols_bar():
    markets = [{"symbol": s, "tickSize": "0.01", "lotSize": "1", "fees": {"taker": "0"}} for s in "XY"]
    b = bar_broker(markets=markets)
    one = bars(*[B] * 6)
    columns = {k: v.copy() for k, v in one.items()}
    for name in ("ts", "end"):
        columns[name] = one[name][[0, 0, 1, 1, 2, 2]]
    columns["symbol"] = np.array([0, 1] * 3, np.int32)
    columns["low"][[3, 5]] = 90.0  # the second and third bar of Y trade through the order
    ids: dict[str, int] = {}
    # row 2 is X at the second close; Y's bar with the same close comes after it
    actions = {1: lambda b: ids.update(y=b.buy(1.0, limit=95.0, symbol=1)), 2: lambda b: b.cancel(ids["y"])}
    assert [f[3] for f in fills(run(b, columns, actions))] == [95.0]
    b = bar_broker(markets=markets)
    columns["low"][3] = 99.0
    assert fills(run(b, columns, actions)) == []
