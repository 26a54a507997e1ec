"""Funding payments fall between rows, on the right position, whatever the chunks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sigma_bot.backtest.compiled import entry_for
from sigma_bot.backtest.session import CompiledSession, InterpretedSession
from sigma_bot.backtest.tester import Clock, feed
from sigma_bot.strategy import Strategy
from sigma_bot.times import MINUTE
from tests.unit.engine.world import T0, TICK_NS, Script, bars, broker, ticks

FLAT = (100.0, 100.0, 100.0, 100.0)


class Hold(Strategy):
    """Buys ten at the first bar."""

    n: int

    def on_bar(self, bar, broker):
        self.n += 1
        if self.n == 1:
            broker.buy(10.0)


def pay(session: Any, minutes: list[int], cuts: list[int]) -> int:
    columns = bars(*[FLAT] * 8)
    funding = np.zeros(len(minutes), [("ts", "i8"), ("symbol", "i4"), ("rate", "f8")])
    funding["ts"] = T0 + np.array(minutes) * MINUTE
    funding["rate"] = 0.001
    parts = [{k: v[a:b] for k, v in columns.items()} for a, b in zip([0, *cuts], [*cuts, 8], strict=True)]
    end = int(columns["end"][-1])
    market = SimpleNamespace(
        kind="bar",
        symbols=("X",),
        funding=funding,
        rows=8,
        end=end,
        ends=(end,),
        chunks=lambda: iter(parts),
    )
    feed(session, market, lambda *_: None, Clock())
    _, after = session.finish()
    return after.funding_quanta


@pytest.mark.parametrize("cuts", [[], [1], [2], [3], [1, 2, 3, 4, 5, 6, 7]])
@pytest.mark.parametrize(
    ("minutes", "payments"),
    [
        ([0], 0),  # nothing held yet
        ([1], 0),  # the order is sent at minute 1 and fills at that minute's open, after the payment
        ([2], 1),
        ([2, 5, 8], 2),  # no row shows that minute 8 was reached with the position still held
        ([-100, 4, 400], 1),
    ],
)
def test_payments(minutes, payments, cuts):
    session = InterpretedSession(Hold(), broker("bar", account={"type": "margin"}), "bar")
    assert pay(session, minutes, cuts) == payments * 10**8


def test_compiled_pays_the_same():
    session = CompiledSession(
        Hold(), broker("bar", account={"type": "margin"}), "bar", entry_for(Hold, "bar").call
    )
    assert pay(session, [2, 5], [3]) == 2 * 10**8
    assert len(session.recorder.all_events()) == 4


@pytest.mark.parametrize(
    ("at", "rate", "payments", "counted"),
    [
        (2.0, 0.001, 1, 0),  # bought in the third tick, whose interval ends then
        (1.0, 0.001, 0, 0),
        (1.5, 0.001, 1, 1),  # inside the interval in which it was bought: the worse one
        (1.5, -0.001, 0, 1),
        (4.5, 0.001, 1, 1),  # and in which it was sold
        (4.5, -0.001, 0, 1),
        (3.5, -0.001, -1, 0),
        (5.0, 0.001, 0, 0),
    ],
)
def test_ticks_pay_by_the_position_at_the_instant(at, rate, payments, counted):
    columns = ticks(*[(100.0, 100.0)] * 8, size=1000.0)
    columns["ts"] += -T0 % TICK_NS
    funding = np.zeros(1, [("ts", "i8"), ("symbol", "i4"), ("rate", "f8")])
    funding["ts"], funding["rate"] = int(columns["ts"][0] + at * TICK_NS), rate
    b = broker("tick", account={"type": "margin"}, execution={"latency": "100ms"})
    script = Script({1: lambda b: b.buy(10.0), 4: lambda b: b.close()})
    market = SimpleNamespace(
        kind="tick", symbols=("X",), funding=funding, rows=8, end=0, ends=(0,), chunks=lambda: iter([columns])
    )
    feed(InterpretedSession(script, b, "tick"), market, lambda *_: None, Clock())
    assert b.n_fills == 2
    assert b.funding_quanta == payments * 10**8
    assert b.n_ambiguous == counted
