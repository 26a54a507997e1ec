"""Strategies made up from a grammar of conditions and broker calls run alike in both executions."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from sigma_bot.engine.types import E_FILL
from tests.integration.engine.rig import assert_same, case_broker, compiled, interpreted, strategy_of
from tests.integration.engine.test_parity import BASE
from tests.support.fuzz import bar_market, tick_market

HEADER = '''"""Made up."""
import math

from sigma_bot import GTD, IOC, Atr, Bollinger, Ema, Rsi, Sma, Strategy, ZScore, array, param


def clamp(x, low, high):
    return min(max(x, low), high)


class Made(Strategy):
    unit: float = param(1.5, gt=0)
    wait: int
    last: int
    count: int
    level: float
    note: float
    up: bool
    ema: Ema
    sma: Sma
    rsi: Rsi
    atr: Atr
    bands: Bollinger
    score: ZScore
    recent: array(float, 8)

    def on_start(self):
        self.ema.setup(5)
        self.sma.setup(12)
        self.rsi.setup(9)
        self.atr.setup(7)
        self.bands.setup(10, 1.5)
        self.score.setup(15)

    def decide(self, price, low, high, broker):
        e = self.ema.update(price)
        m = self.sma.update(price)
        r = self.rsi.update(price)
        a = self.atr.update(high, low, price)
        self.bands.update(price)
        z = self.score.update(price)
        self.recent[self.count % 8] = price
        self.count += 1
        self.wait -= 1
        if self.wait > 0:
            return
        self.wait = {wait}
{body}

    def on_tick(self, tick, broker):
        self.decide(tick.mid, tick.bid, tick.ask, broker)

    def on_bar(self, bar, broker):
        self.note += bar.close * 0.001 + bar.timeframe * 1e-12
        if broker.own_bars != 0:
            self.decide(bar.close, bar.low, bar.high, broker)

    def on_fill(self, fill, broker):
        self.level = fill.price
{filled}
'''

NUMBERS = (
    "price",
    "e",
    "m",
    "self.level",
    "self.bands.upper",
    "self.bands.lower",
    "self.recent[self.count % 8]",
    "broker.average_price",
)
SMALL = ("a", "z", "r / 50.0", "broker.position", "0.5", "abs(price - m)", "math.sqrt(abs(z))")
CALLS = (
    "broker.buy({q})",
    "broker.sell({q})",
    "self.last = broker.buy({q}, limit={p} - {d})",
    "self.last = broker.sell({q}, limit={p} + {d}, post_only=True)",
    "self.last = broker.buy({q}, stop=high + {d})",
    "self.last = broker.sell({q}, stop=low - {d}, limit=low - {d} - 0.05)",
    "broker.sell({q}, trail=0.05 + {d})",
    "broker.buy({q}, limit={p}, tif=IOC)",
    "broker.buy({q}, limit={p}, tif=GTD, expire=broker.ts + 90_000_000_000)",
    "broker.buy({q}, stop_loss=low - {d} - 0.02, take_profit=high + {d} + 0.02)",
    "broker.sell({q}, stop_loss=high + {d} + 0.02, take_profit=low - {d} - 0.02)",
    "broker.target({q} - 1.0)",
    "broker.target_fraction(clamp(z * 0.2, -0.9, 0.9))",
    "broker.cancel(self.last)",
    "broker.modify(self.last, limit={p} - {d})",
    "broker.cancel_all()",
    "broker.close()",
)


class Author:
    """Writes bodies from a seed, so that a failing strategy can be written again."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def number(self, depth: int = 0) -> str:
        """An expression near the price."""
        if depth > 1 or self.random.random() < 0.5:
            return self.random.choice(NUMBERS)
        one, two = self.number(depth + 1), self.number(depth + 1)
        made = (f"max({one}, {two})", f"({one} + {two}) * 0.5", f"({one} if {self.condition(2)} else {two})")
        return self.random.choice(made)

    def small(self) -> str:
        """An expression that may stand for a distance or a size, never negative."""
        factor = self.random.choice(["0.1", "0.7", "2.0"])
        return f"clamp(abs({self.random.choice(SMALL)}) * {factor}, 0.01, 3.0)"

    def condition(self, depth: int = 0) -> str:
        """Something true now and then."""
        simple = (
            f"{self.number(2)} {self.random.choice(['<', '>', '<=', '>='])} {self.number(2)}",
            f"z > {self.random.choice(['-1.0', '0.0', '1.0'])}",
            f"r {self.random.choice(['<', '>'])} {self.random.choice(['35.0', '50.0', '65.0'])}",
            f"self.count % {self.random.randint(2, 7)} == 0",
            f"broker.position {self.random.choice(['==', '>', '<', '<='])} 0",
            f"broker.open_orders < {self.random.randint(1, 9)}",
            "self.score.ready",
            "self.up",
            "broker.is_open(self.last)",
            "broker.unrealized_profit > broker.fees",
        )
        if depth > 1 or self.random.random() < 0.6:
            return self.random.choice(simple)
        join = self.random.choice([" and ", " or ", " and not "])
        return f"({self.condition(depth + 1)}{join}({self.condition(depth + 1)}))"

    def call(self) -> str:
        """One order, change or cancel."""
        text = self.random.choice(CALLS)
        return text.format(q=f"self.unit * {self.small()}", p=self.number(1), d=self.small())

    def block(self, depth: int, most: int) -> list[str]:
        """Statements, indented by their depth."""
        pad = "    " * depth
        out = []
        for _ in range(self.random.randint(2, most)):
            kind = self.random.random()
            if kind < 0.45 and depth < 4:
                out += [f"{pad}if {self.condition()}:", *self.block(depth + 1, 2)]
                if self.random.random() < 0.5:
                    out += [f"{pad}else:", *self.block(depth + 1, 2)]
            elif kind < 0.55 and depth < 4:
                k = f"k{depth}"
                out += [
                    f"{pad}for {k} in range({self.random.randint(1, 8)}):",
                    f"{pad}    self.note += self.recent[{k}] * {self.random.choice(['0.25', 'z', 'a'])}",
                ]
            elif kind < 0.65:
                out.append(f"{pad}self.up = {self.condition()}")
            elif kind < 0.75:
                out.append(f"{pad}self.level = {self.number()}")
            else:
                out.append(pad + self.call())
        return out

    def strategy(self) -> str:
        """The whole file."""
        out = self.random.choice(["broker.close()", "broker.sell(self.unit)", "broker.target(0.5)"])
        trading = [  # without these a third of the strategies never hold anything
            f"        if self.count % {self.random.randint(3, 6)} == 0 and {self.condition(1)}:",
            f"            broker.buy(self.unit * {self.small()})",
            f"        elif self.count % {self.random.randint(7, 11)} == 1:",
            f"            {out}",
        ]
        body = "\n".join(self.block(2, 5) + trading)
        filled = f"        if {self.random.choice(['fill.side > 0', 'fill.maker != 0', 'self.up'])}:\n"
        filled += "            broker.sell(fill.quantity * 0.5, limit=fill.price + 0.07)"
        return HEADER.format(wait=self.random.randint(1, 4), body=body, filled=filled)


MARKETS: tuple[dict[str, Any], ...] = (
    {"seed": 1, "symbols": 1, "account": "cash", "latency": "0ms", "queue": False},
    {"seed": 2, "symbols": 2},
    {"seed": 3, "symbols": 3, "fill_at": "close", "volume": "0", "limits": False},
)


@pytest.mark.parametrize("seed", range(6))
def test_a_generated_strategy_runs_alike(seed: int, tmp_path: Path) -> None:
    text = Author(seed).strategy()
    made = strategy_of(tmp_path, f"made_up_{seed}", text)
    kind = ("tick", "bar")[seed % 2]
    fills = 0
    for changes in MARKETS:
        c = BASE | {"kind": kind} | changes
        columns = (tick_market if kind == "tick" else bar_market)(2500, c["seed"], c["symbols"])  # type: ignore[arg-type]
        one = interpreted(made(), case_broker(c), kind, columns)
        two = compiled(made(), case_broker(c), kind, columns, [700, 701])
        try:
            assert_same(one, two)
        except AssertionError as error:
            error.add_note(text)
            raise
        fills += int((one.recorder.all_events()["kind"] == E_FILL).sum())
    assert fills > 20, "a strategy that does not trade shows little:\n" + text
