"""Three runs whose digests are pinned; ``python digest_cases.py ENGINE FOLDER`` prints them as JSON.

They take their strategy from the text below and their data from the generator or the sample, so nothing but
the engine, the indicators, the data rooms and the digest itself can change them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sigma_bot.backtest.tester import run_backtest
from sigma_bot.results.result import BacktestResult
from sigma_bot.spec import Backtest, parse_manifest

STRATEGY = '''"""Orders of every kind, sent by rule."""
from sigma_bot import GTD, IOC, Atr, Bollinger, Ema, Rsi, Strategy, param

from steps import next_step


class Pinned(Strategy):
    fast: int = param(8, ge=1)
    slow: int = param(21, ge=2)
    unit: float = param(2.0, gt=0)
    rows: int
    bars: int
    last: int
    quick: Ema
    calm: Ema
    strength: Rsi
    bands: Bollinger
    range: Atr

    def on_start(self):
        self.quick.setup(self.fast)
        self.calm.setup(self.slow)

    def on_tick(self, tick, broker):
        self.act(tick.mid, tick.bid, tick.ask, broker)

    def on_bar(self, bar, broker):
        self.bars += 1
        self.range.update(bar.high, bar.low, bar.close)
        if broker.own_bars != 0:
            self.act(bar.close, bar.low, bar.high, broker)

    def act(self, price, low, high, broker):
        quick = self.quick.update(price)
        calm = self.calm.update(price)
        strength = self.strength.update(price)
        self.bands.update(price)
        self.rows += 1
        step = next_step(self.rows)
        if step == 0 and quick > calm:
            broker.buy(self.unit, stop_loss=low * 0.999, take_profit=high * 1.002)
        elif step == 1 and strength > 50.0:
            broker.buy(self.unit, limit=low, tif=GTD, expire=broker.ts + 3600_000_000_000)
        elif step == 2:
            self.last = broker.sell(self.unit * 0.5, stop=low - 0.02)
        elif step == 3 and broker.is_open(self.last):
            broker.modify(self.last, stop=low - 0.01)
        elif step == 4 and price > self.bands.middle:
            broker.sell(self.unit, limit=high, tif=IOC)
        elif step == 5 and broker.position > 0:
            broker.sell(self.unit, trail=max(self.range.value, 0.03))
        elif step == 6:
            broker.target_fraction(0.3)
        elif step == 7:
            broker.close()

    def on_fill(self, fill, broker):
        if fill.maker != 0 and fill.side > 0:
            broker.sell(fill.quantity, limit=fill.price * 1.001, post_only=True)
'''
STEPS = "def next_step(row):\n    return (row * 7 + row // 13) % 31\n"
MARKET = {
    "symbol": "AAA",
    "tickSize": "0.01",
    "lotSize": "0.001",
    "fees": {"taker": "0.0005", "maker": "-0.0001", "minimum": "0.01"},
}
PERP = {"type": "margin", "leverage": "3", "cash": "20000"}
CASES: dict[str, dict[str, Any]] = {
    "ticks": {
        "markets": [MARKET, MARKET | {"symbol": "BBB"}],
        "data": {"source": "synthetic"},
        "period": {"from": "2024-01-01", "to": "2024-01-01T00:30:00Z"},
        "timeframes": ["10s", "1m"],
        "account": PERP,
        "execution": {"latency": "150ms", "queue": True, "slippageTicks": 1, "volumeLimit": "0.5"},
    },
    "bars": {
        "markets": [MARKET],
        "data": {"source": "synthetic", "kind": "bars", "timeframe": "1m"},
        "period": {"from": "2024-01-01", "to": "2024-01-04"},
        "timeframes": ["1m", "15m"],
        "account": PERP,
        "execution": {"slippage": "0.0001"},
        "risk": {"maxPosition": "12"},
    },
    "sample": {
        "markets": [MARKET | {"symbol": "GOOG", "lotSize": "1"}],
        "data": {"source": "sample"},
        "account": {"cash": "100000"},
    },
}


def manifest(spec: dict[str, Any], name: str = "pinned") -> Backtest:
    """A Backtest of this spec with the strategy above."""
    head = {"apiVersion": "sigma-x.io/v1alpha1", "kind": "Backtest", "metadata": {"name": name}}
    read = parse_manifest(head | {"spec": {"strategy": {"file": "pinned.py"}} | spec})
    assert isinstance(read, Backtest)
    return read


def write_code(folder: Path, strategy: str = STRATEGY, steps: str = STEPS) -> None:
    """The strategy and the module that it imports."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pinned.py").write_text(strategy)
    (folder / "steps.py").write_text(steps)


def run_case(
    spec: dict[str, Any], folder: Path, engine: Any = "interpreted", name: str = "pinned"
) -> BacktestResult:
    """The run of a spec whose code lies in the folder."""
    return run_backtest(manifest(spec, name), folder, engine)


def digests(engine: str, folder: Path) -> dict[str, str]:
    """The digest of every case; the code lies in the folder."""
    return {name: run_case(spec, folder, engine).digest for name, spec in CASES.items()}


if __name__ == "__main__":
    print(json.dumps(digests(sys.argv[1], Path(sys.argv[2]))))
