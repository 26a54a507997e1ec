"""The cross of two averages in backtesting.py. Arguments: folder, job."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

folder, job = Path(sys.argv[1]), json.loads(sys.argv[2])
columns = np.load(folder / "in.npz")
data = pd.DataFrame(
    {name.capitalize(): columns[name] for name in ("open", "high", "low", "close", "volume")},
    index=pd.DatetimeIndex(columns["ts"]),
)


def sma(values, length):
    """Zero, not nothing, until the window is full: the engine waits until no indicator is empty."""
    return pd.Series(values).rolling(length).mean().fillna(0.0)


class Cross(Strategy):
    """One unit while the fast average is above the slow one."""

    def init(self):
        self.fast = self.I(sma, self.data.Close, job["fast"])
        self.slow = self.I(sma, self.data.Close, job["slow"])

    def next(self):
        if len(self.data) < job["slow"]:
            return
        if self.fast[-1] > self.slow[-1] and not self.position:
            self.buy(size=1)
        elif self.fast[-1] < self.slow[-1] and self.position:
            self.position.close()


def run():
    """One run; the trades it closed."""
    return Backtest(data, Cross, cash=10_000_000, commission=0.0).run()["_trades"]


seconds = []
for _ in range(job["repeats"]):
    started = time.thread_time()
    run()
    seconds.append(time.thread_time() - started)
if not job["repeats"]:
    trades = run()
    np.savez(
        folder / "out.npz",
        entry=trades["EntryTime"].to_numpy().astype("datetime64[ns]").astype(np.int64),
        exit=trades["ExitTime"].to_numpy().astype("datetime64[ns]").astype(np.int64),
        entry_price=trades["EntryPrice"].to_numpy(float),
        exit_price=trades["ExitPrice"].to_numpy(float),
    )
print(json.dumps(seconds))
