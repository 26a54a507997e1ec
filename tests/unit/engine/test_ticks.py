"""Fill rules on ticks, each shown on a handful of hand-made rows."""

from __future__ import annotations

import pytest

from sigma_bot.engine.types import FOK, GTD, IOC
from tests.unit.engine.world import T0, TICK_NS, broker, fills, run, ticks, whys

FLAT = (99.99, 100.01)


def test_market_order_pays_the_spread_at_once_without_latency():
    got = fills(run(broker(), ticks(FLAT, FLAT), {0: lambda b: b.buy(1.0), 1: lambda b: b.sell(1.0)}))
    assert got == [(0, 1, 1.0, 100.01), (1, -1, 1.0, 99.99)]


def test_latency_moves_a_fill_to_the_first_tick_at_or_after_the_arrival():
    b = broker(execution={"latency": "150ms"})
    rows = ticks(FLAT, (100.09, 100.11), (100.19, 100.21), FLAT)
    assert fills(run(b, rows, {0: lambda b: b.buy(1.0)})) == [(2, 1, 1.0, 100.21)]


def test_beyond_the_displayed_size_the_rest_slips():
    b = broker(execution={"slippageTicks": 3})
    got = fills(run(b, ticks(FLAT, size=0.4), {0: lambda b: b.buy(1.0)}))
    assert got == [(0, 1, 0.4, 100.01), (0, 1, 0.6, 100.04)]


def test_own_orders_share_the_displayed_size():
    b = broker(execution={"slippageTicks": 1})

    def two(b):
        b.buy(0.3)
        b.buy(0.3)

    got = fills(run(b, ticks(FLAT, size=0.4), {0: two}))
    assert got == [(0, 1, 0.3, 100.01), (0, 1, 0.1, 100.01), (0, 1, 0.2, 100.02)]


def test_resting_limit_fills_only_when_traded_through_and_by_volume():
    b = broker(execution={"volumeLimit": "0.1"})
    rows = ticks(FLAT, (99.99, 100.01, 99.95, 100.0), (99.93, 99.97, 99.94, 100.0), FLAT, volume=5.0)
    got = fills(run(b, rows, {0: lambda b: b.buy(2.0, limit=99.95)}))
    assert got == [(2, 1, 0.5, 99.95)]


def test_queue_model_fills_at_the_price_once_the_size_ahead_has_traded():
    b = broker(execution={"queue": True, "volumeLimit": "1"})
    at = (99.99, 100.01, 99.99, 100.0)
    rows = ticks(FLAT, at, at, at, size=8.0, volume=5.0)
    got = fills(run(b, rows, {0: lambda b: b.buy(3.0, limit=99.99)}))
    assert got == [(2, 1, 2.0, 99.99), (3, 1, 1.0, 99.99)]


def test_marketable_limit_takes_on_arrival_and_rests_with_the_remainder():
    rows = ticks(FLAT, (99.99, 100.02), (99.97, 100.01), size=0.4)
    events = run(broker(), rows, {0: lambda b: b.buy(1.0, limit=100.01)})
    assert fills(events) == [(0, 1, 0.4, 100.01), (2, 1, 0.4, 100.01)]
    assert [e["maker"] for e in events if e["what"] == "fill"] == [0, 1]


@pytest.mark.parametrize(("tif", "expected"), [(IOC, [(0, 1, 0.4, 100.01)]), (FOK, [])])
def test_ioc_takes_what_there_is_and_fok_all_or_nothing(tif, expected):
    events = run(broker(), ticks(FLAT, FLAT, size=0.4), {0: lambda b: b.buy(1.0, limit=100.01, tif=tif)})
    assert fills(events) == expected
    assert whys(events, "cancel") == ["not filled at once (IOC, FOK)"]


def test_gtd_order_expires():
    rows = ticks(FLAT, FLAT, FLAT, (99.0, 99.01))
    events = run(broker(), rows, {0: lambda b: b.buy(1.0, limit=99.5, tif=GTD, expire=T0 + 2 * TICK_NS)})
    assert [(e["what"], e["row"]) for e in events] == [("new", 0), ("expire", 2)]


def test_post_only_order_never_takes():
    events = run(broker(), ticks(FLAT, FLAT), {0: lambda b: b.buy(1.0, limit=100.05, post_only=True)})
    assert fills(events) == []
    assert whys(events, "cancel") == ["post-only order would take liquidity"]


def test_stops_trigger_on_trades_not_on_quotes():
    rows = ticks(FLAT, (99.4, 99.6), (99.3, 99.5, 99.5, 99.5), FLAT)
    got = fills(run(broker(account={"type": "margin"}), rows, {0: lambda b: b.sell(1.0, stop=99.5)}))
    assert got == [(2, -1, 1.0, 99.3)]


def test_stop_limit_becomes_a_limit_order():
    rows = ticks(FLAT, (99.3, 99.5, 99.5, 99.5), (99.45, 99.55, 99.4, 99.5))
    b = broker(account={"type": "margin"})
    events = run(b, rows, {0: lambda b: b.sell(1.0, stop=99.5, limit=99.4)})
    assert fills(events) == [(2, -1, 1.0, 99.4)]
    assert [e["what"] for e in events] == ["new", "trigger", "fill"]


def test_trailing_stop_follows_the_best_trade():
    up, top, down = (
        (100.19, 100.21, 100.2, 100.2),
        (100.49, 100.51, 100.5, 100.5),
        (100.3, 100.32, 100.3, 100.3),
    )
    rows = ticks(FLAT, up, top, down)
    events = run(
        broker(account={"type": "margin"}), rows, {0: lambda b: (b.buy(1.0), b.sell(1.0, trail=0.2))}
    )
    # the best trade was 100.50, so the stop stood at 100.30
    assert fills(events)[1:] == [(3, -1, 1.0, 100.3)]


def test_bracket_exits_wait_for_the_entry_and_cancel_one_another():
    rows = ticks(FLAT, (99.7, 99.72, 99.7, 100.0), (100.6, 100.62, 100.6, 100.6), (98.0, 98.02, 98.0, 98.0))
    events = run(broker(), rows, {0: lambda b: b.buy(1.0, limit=99.9, stop_loss=99.0, take_profit=100.5)})
    assert fills(events) == [(1, 1, 1.0, 99.9), (2, -1, 1.0, 100.5)]
    assert whys(events, "cancel") == ["other order of the group filled"]


def test_exits_of_a_cancelled_entry_go_with_it():
    events = run(
        broker(),
        ticks(FLAT, FLAT),
        {0: lambda b: b.buy(1.0, limit=99.0, stop_loss=98.0), 1: lambda b: b.cancel_all()},
    )
    assert sorted(whys(events, "cancel")) == ["cancelled by the strategy", "cancelled by the strategy"]


def test_oco_pair_of_entries():
    def straddle(b):
        b.oco(b.buy(1.0, stop=100.5), b.buy(1.0, limit=99.5))

    rows = ticks(FLAT, (100.5, 100.52, 100.0, 100.5), (99.0, 99.02, 99.0, 99.0))
    assert fills(run(broker(), rows, {0: straddle})) == [(1, 1, 1.0, 100.52)]


def test_cancel_and_modify_take_the_latency_too():
    b = broker(execution={"latency": "150ms"})
    ids: dict[str, int] = {}
    rows = ticks(FLAT, FLAT, FLAT, FLAT, (99.0, 99.02, 99.0, 99.0), FLAT)
    actions = {0: lambda b: ids.update(a=b.buy(1.0, limit=99.5)), 3: lambda b: b.cancel(ids["a"])}
    events = run(b, rows, actions)
    assert fills(events) == [(4, 1, 1.0, 99.5)], "the market was faster than the cancel"
    b = broker(execution={"latency": "150ms"})
    actions[3] = lambda b: b.modify(ids["a"], limit=98.0, qty=2.0)
    rows = ticks(FLAT, FLAT, FLAT, FLAT, FLAT, FLAT, (99.0, 99.02, 99.0, 99.0), (97.0, 97.1, 97.0, 97.0))
    assert fills(run(b, rows, actions)) == [(7, 1, 2.0, 98.0)]


def test_reduce_only_stops_at_flat():
    b = broker(account={"type": "margin"})
    events = run(b, ticks(FLAT, FLAT), {0: lambda b: b.buy(1.0), 1: lambda b: b.sell(3.0, reduce_only=True)})
    assert b.markets[0].lots == 0
    assert fills(events)[1] == (1, -1, 1.0, 99.99)


def test_target_counts_what_is_on_its_way():
    b = broker(execution={"latency": "1s"})
    events = run(b, ticks(*[FLAT] * 15), {i: lambda b: b.target(2.0) for i in range(15)})
    assert fills(events) == [(10, 1, 2.0, 100.01)]


def test_close_cancels_and_flattens():
    def enter(b):
        b.buy(1.0)
        b.buy(1.0, limit=90.0)

    b = broker()
    events = run(b, ticks(FLAT, FLAT), {0: enter, 1: lambda b: b.close()})
    assert (b.markets[0].lots, b.open_orders) == (0, 0)
    assert fills(events)[-1] == (1, -1, 1.0, 99.99)


def test_bars_hold_the_tick_at_their_end_and_are_delivered_with_it():
    from sigma_bot.backtest.session import InterpretedSession
    from sigma_bot.strategy import Strategy

    seen = []

    class Watch(Strategy):
        def on_bar(self, bar, broker):
            seen.append((bar.ts, bar.end, bar.open, bar.high, bar.low, bar.close, bar.count, broker.ts))

    b = broker(timeframes=["1s"])
    columns = ticks(*[(100.0 + i, 100.5 + i, 100.25 + i, 100.25 + i) for i in range(21)])
    columns["ts"] += TICK_NS
    InterpretedSession(Watch(), b, "tick").feed(columns, lambda _: None)
    end = T0 + 10 * TICK_NS
    assert seen[0] == (T0, end, 100.25, 109.25, 100.25, 109.25, 10, end)
    assert [s[6] for s in seen] == [10, 10]
