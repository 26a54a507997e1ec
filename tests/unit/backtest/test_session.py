"""Sessions: an error is the user's own, and what compiled code cannot hold goes on interpreted."""

from __future__ import annotations

from typing import Any

import pytest

from sigma_bot.backtest.compiled import entry_for
from sigma_bot.backtest.session import CompiledSession, InterpretedSession
from sigma_bot.errors import StrategyError
from sigma_bot.indicators import Sma
from sigma_bot.kernel.errors import CannotCompileError
from sigma_bot.runtime.loader import load_strategy
from sigma_bot.spec.blocks import StrategyRef
from sigma_bot.strategy import Strategy
from tests.support.fuzz import bar_market
from tests.unit.engine.world import broker


class Grow(Strategy):
    """Doubles an integer until it passes 64 bits at row ``63 + quiet``, trading on the way."""

    n: int
    quiet: int = 600
    big: int = 1

    def on_bar(self, bar, broker):
        self.n += 1
        if self.n % 7 == 0:
            broker.target(float(self.n % 3))
        if self.n > self.quiet:
            big = self.big * 2
            self.big = 1 if big > 4e20 else big


class Fail(Strategy):
    n: int

    def on_bar(self, bar, broker):
        self.n += 1
        if self.n == 700:
            self.n = self.n // (self.n - 700)


def test_going_on_interpreted_gives_the_same_run():
    rows = bar_market(2000, 3)
    one = InterpretedSession(Grow(), broker("bar"), "bar")
    one.feed(rows, lambda _: None)
    two = CompiledSession(Grow(), broker("bar"), "bar", entry_for(Grow, "bar").call)
    seen: list[Any] = []
    two.feed({k: v[:900] for k, v in rows.items()}, seen.append)
    two.feed({k: v[900:] for k, v in rows.items()}, seen.append)
    assert "from row 66" in two.gave_up
    assert sum(seen) == 2000
    assert one.recorder.all_events().tobytes() == two.recorder.all_events().tobytes()
    (a, x), (b, y) = one.finish(), two.finish()
    assert (a.n, a.big, x.cash_quanta, x.equity) == (b.n, b.big, y.cash_quanta, y.equity)  # type: ignore[attr-defined]


@pytest.mark.parametrize("compiled", [False, True])
def test_an_error_names_the_line_and_the_time(compiled):
    b = broker("bar")
    session = (
        CompiledSession(Fail(), b, "bar", entry_for(Fail, "bar").call)
        if compiled
        else InterpretedSession(Fail(), b, "bar")
    )
    with pytest.raises(StrategyError) as caught:
        session.feed(bar_market(2000, 3), lambda _: None)
    text = str(caught.value)
    assert "ZeroDivisionError: integer division or modulo by zero" in text
    assert "self.n = self.n // (self.n - 700)" in text
    assert "row 699" in text
    assert "2023-11-15T09:54:00.000000000Z" in text


class Meddle(Strategy):
    """Sets what indexes an unchecked buffer."""

    sma: Sma

    def on_bar(self, bar, broker):
        mine = self.sma
        mine.period = 5000
        mine.update(bar.close)


class MeddleBroker(Strategy):
    n: int

    def on_bar(self, bar, broker):
        broker.n_active = 5000


@pytest.mark.parametrize(
    ("cls", "why"),
    [(Meddle, "period belongs to Sma"), (MeddleBroker, "n_active belongs to Broker")],
)
def test_compiled_strategies_do_not_set_what_is_ours(cls, why):
    with pytest.raises(CannotCompileError, match=why):
        entry_for(cls, "bar")


def test_own_bars_say_their_timeframe():
    seen = set()

    class Watch(Strategy):
        def on_bar(self, bar, broker):
            seen.add((bar.timeframe, bar.count))

    InterpretedSession(Watch(), broker("bar", timeframes=["1m", "5m"]), "bar").feed(
        bar_market(20, 1), lambda _: None
    )
    assert {(60_000_000_000, 1), (300_000_000_000, 5)} <= seen


def test_a_moved_strategy_finds_its_compiled_code(tmp_path):
    code = "from sigma_bot import Strategy\nclass Moved(Strategy):\n    n: int\n"
    code += "    def on_bar(self, bar, broker):\n        self.n += 4711\n"
    cached = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "moved.py").write_text(code)
        loaded = load_strategy(StrategyRef(file="moved.py"), tmp_path / folder)  # type: ignore[call-arg] # the checker does not see the default
        cached.append(entry_for(loaded.cls, "bar").cached)
    assert cached[1]
