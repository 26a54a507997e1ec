"""Compiled and interpreted are one program: every event, sample and field, on any market, in any pieces."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sigma_bot import Strategy, param
from sigma_bot.backtest import session as sessions
from sigma_bot.engine.types import R_QUEUE_FULL, EventType
from tests.integration.engine.rig import assert_same, case_broker, compiled, interpreted
from tests.support.fuzz import Fuzz, bar_market, tick_market

FAST = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

CASES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["tick", "bar"]),
        "seed": st.integers(1, 10**6),
        "every": st.sampled_from([1, 5, 30]),
        "size": st.sampled_from([2.5, 200.0]),
        "symbols": st.integers(1, 3),
        "account": st.sampled_from(["cash", "margin"]),
        "latency": st.sampled_from(["0ms", "150ms", "3m"]),
        "queue": st.booleans(),
        "volume": st.sampled_from(["0", "0.1", "1"]),
        "slippage": st.sampled_from(["0", "0.0003"]),
        "spread": st.sampled_from(["0", "0.0002"]),
        "maker": st.sampled_from(["-0.0001", "0.0002"]),
        "minimum": st.sampled_from(["0", "0.05"]),
        "fill_at": st.sampled_from(["next-open", "close"]),
        "limits": st.booleans(),
        "timeframes": st.sampled_from([[], ["1m"], ["1m", "5m", "1h"]]),
    }
)
BASE = {
    "kind": "tick",
    "seed": 7,
    "every": 5,
    "size": 2.5,
    "symbols": 2,
    "account": "margin",
    "latency": "150ms",
    "queue": True,
    "volume": "1",
    "slippage": "0.0003",
    "spread": "0.0002",
    "maker": "0.0002",
    "minimum": "0.05",
    "fill_at": "next-open",
    "limits": True,
    "timeframes": ["1m", "5m"],
}
CUTS = st.lists(st.integers(1, 3000), max_size=6)


def market(c: dict[str, Any], rows: int) -> dict[str, Any]:
    """``rows`` rows of a case's market, dull where there is one symbol, jumping where there are three."""
    return (tick_market if c["kind"] == "tick" else bar_market)(rows, c["seed"], c["symbols"])


def pair(c: dict[str, Any], rows: int, cuts: Any = (), others: Any = ()) -> tuple[Any, Any]:
    """The case in both executions."""
    columns = market(c, rows)
    one = interpreted(fuzz(c), case_broker(c), c["kind"], columns, cuts)
    two = compiled(fuzz(c), case_broker(c), c["kind"], columns, others)
    return one, two


def fuzz(c: dict[str, Any]) -> Fuzz:
    """The strategy of a case."""
    return Fuzz(seed=c["seed"], every=c["every"], size=c["size"])


@FAST
@given(CASES, CUTS, CUTS)
def test_both_executions_agree_to_the_last_bit_however_the_rows_are_cut(c, cuts, others):
    assert_same(*pair(c, 3000, cuts, others))


@pytest.mark.parametrize("kind", ["tick", "bar"])
def test_the_cases_reach_what_they_are_meant_to_reach(kind):
    """A comparison of two runs in which nothing happens would prove nothing."""
    happened: Counter[str] = Counter()
    for seed, size, limits in [(1, 2.5, True), (2, 2.5, False), (3, 200.0, False)]:
        c = BASE | {"kind": kind, "seed": seed, "every": 3, "symbols": 1, "size": size, "limits": limits}
        events = compiled(fuzz(c), case_broker(c), kind, market(c, 20_000)).recorder.all_events()
        happened.update(EventType(k).text for k in events["kind"].tolist())
    assert min(happened[x] for x in ("new", "fill", "cancel", "reject", "expire", "trigger", "modify")) > 0
    assert happened["liquidate"] > 0


@pytest.mark.parametrize("kind", ["tick", "bar"])
def test_queues_that_run_full_in_mid_run_change_nothing(kind, monkeypatch):
    """Beyond 512 events the loop stops, is drained and goes on with the next row."""
    c = BASE | {"kind": kind, "every": 1}
    one, two = pair(c, 6000)
    assert len(one.recorder.events) > 5
    assert len(two.recorder.events) > 5
    assert_same(one, two)
    monkeypatch.setattr(sessions, "BATCH", 97)
    monkeypatch.setattr(sessions, "CHECKPOINT", 61)
    again = pair(c, 6000)
    assert len(again[1].recorder.events) > len(two.recorder.events)
    assert_same(one, again[0])
    assert_same(two, again[1])


class Burst(Strategy):
    """Sends more orders in one row than the engine keeps events for."""

    rows: int
    many: int = param(700)

    def on_tick(self, tick, broker):
        self.rows += 1
        for _ in range(self.many if self.rows % 3 == 0 else 200):
            broker.buy(0.0)
        broker.buy(0.001)


def test_a_burst_of_orders_is_met_alike_wherever_the_queue_was_drained():
    """What one row may send is counted from that row on."""
    c = BASE | {"symbols": 1, "latency": "0ms"}
    columns = market(c, 60)
    first = interpreted(Burst(), case_broker(c), "tick", columns)
    assert first.broker.rejected[R_QUEUE_FULL] == 0
    for cuts in ([20], [21], [22], range(1, 60)):
        assert_same(first, interpreted(Burst(), case_broker(c), "tick", columns, cuts))
    full = [interpreted(Burst(many=3000), case_broker(c), "tick", columns, cuts) for cuts in ([], [1, 5, 20])]
    assert full[0].broker.rejected[R_QUEUE_FULL] > 0
    assert full[0].broker.lost_events == 0
    assert_same(*full)
