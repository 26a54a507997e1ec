"""Small backtests on disk to sweep and to check: bars of a generated market and strategies over them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import yaml

from sigma_bot.data.synthetic import synthetic_bars
from sigma_bot.spec import Backtest, load_manifest

CROSS = """
from sigma_bot import Sma, Strategy, param

class Cross(Strategy):
    fast: int = param(3, ge=1, le=50)
    slow: int = param(8, ge=2, le=100)
    keen: bool = param(False)
    size: float = param(0.5, gt=0, le=1)
    fast_ma: Sma
    slow_ma: Sma

    def on_start(self):
        if self.fast >= self.slow:
            raise ValueError("fast must be below slow")
        self.fast_ma.setup(self.fast)
        self.slow_ma.setup(self.slow)

    def on_bar(self, bar, broker):
        fast = self.fast_ma.update(bar.close)
        slow = self.slow_ma.update(bar.close)
        if not self.slow_ma.ready:
            return
        if fast > slow and broker.position == 0:
            broker.target_fraction(self.size)
        elif fast < slow and broker.position > 0:
            broker.close()
"""
HOUR = 3_600_000_000_000


def write(folder: Path, code: str = CROSS, rows: int = 1500, **spec: object) -> Path:
    """A manifest in ``folder`` with its strategy and hourly bars; the manifest's path."""
    bars = synthetic_bars(rows, seed=7, timeframe=HOUR)
    table = {"time": bars["ts"].view("M8[ns]"), **{n: bars[n] for n in ("open", "high", "low", "close")}}
    pa.csv.write_csv(pa.table(table), folder / "bars.csv")
    (folder / "strategy.py").write_text(code)
    content = {
        "apiVersion": "sigma-x.io/v1alpha1",
        "kind": "Backtest",
        "metadata": {"name": "test"},
        "spec": {
            "strategy": {"file": "strategy.py"},
            "markets": [{"symbol": "X", "tickSize": "0.01", "lotSize": "0.001"}],
            "data": {"path": "bars.csv", "timezone": "UTC", "stamps": "open"},
            "account": {"cash": "100000"},
        }
        | spec,
    }
    path = folder / "backtest.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def manifest_of(path: Path) -> Backtest:
    """The manifest at ``path``."""
    return load_manifest(path, "Backtest")
