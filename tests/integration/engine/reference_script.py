"""The reference strategies in backtesting.py, run inside its own environment: ``reference_script.py FOLDER``.

FOLDER/jobs.json holds the plans; FOLDER/in.npz the bars; FOLDER/out.json gets the closed trades of each plan.
"""

import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy  # type: ignore[import-not-found]

warnings.filterwarnings("ignore")
folder = Path(sys.argv[1])
jobs = json.loads((folder / "jobs.json").read_text())
columns = np.load(folder / "in.npz")
data = pd.DataFrame(
    {name.capitalize(): columns[name] for name in ("open", "high", "low", "close", "volume")},
    index=pd.DatetimeIndex(columns["ts"]),
)


class Reference(Strategy):  # type: ignore[misc]
    """One plan of those in test_references.py."""

    job: dict[str, Any] = {}  # given to run()

    def init(self):
        """Nothing to prepare: averages are exact sums, computed when they are needed."""

    def mean(self, n):
        """Mean of the last n closes."""
        return math.fsum(self.data.Close[-n:]) / n

    def next(self):
        row = len(self.data) - 1
        if self.job["plan"] in ("cross", "reverse"):
            if row + 1 >= self.job["slow"]:
                self.cross(self.mean(self.job["fast"]), self.mean(self.job["slow"]))
            return
        if row % self.job["every"] == 0 and row > 0:
            self.enter(self.data.Close[-1])
        elif row % self.job["every"] == self.job["last"]:
            for order in self.orders:
                if not order.is_contingent:
                    order.cancel()
            self.position.close()

    def cross(self, fast, slow):
        long_only = self.job["plan"] == "cross"
        if fast > slow and self.position.size <= 0:
            self.buy(size=self.job["size"] + abs(self.position.size))
        elif fast < slow and self.position.size >= 0:
            if long_only:
                self.position.close()
            else:
                self.sell(size=self.job["size"] + abs(self.position.size))

    def enter(self, price):
        near, far = price * (1 - self.job["near"]), price * (1 - self.job["far"])
        above, beyond = price * (1 + self.job["near"]), price * (1 + self.job["far"])
        if self.job["plan"] == "long bracket":
            self.buy(size=self.job["size"], sl=near, tp=beyond)
        elif self.job["plan"] == "short bracket":
            self.sell(size=self.job["size"], sl=above, tp=far)
        elif self.job["plan"] == "stop entry":
            self.buy(size=self.job["size"], stop=above)
        elif self.job["plan"] == "limit entry":
            self.buy(size=self.job["size"], limit=near)
        elif self.job["plan"] == "stop exit":
            self.buy(size=self.job["size"], sl=near)


def stamps(values):
    """Times as ns."""
    return pd.DatetimeIndex(values).as_unit("ns").asi8.tolist()


def trades(job):
    """The closed trades of a plan."""
    closed = Backtest(data, Reference, cash=10_000_000, commission=0.0, margin=0.1).run(job=job)["_trades"]
    return {
        "entry": stamps(closed["EntryTime"]),
        "exit": stamps(closed["ExitTime"]),
        "entry_price": closed["EntryPrice"].tolist(),
        "exit_price": closed["ExitPrice"].tolist(),
        "size": closed["Size"].tolist(),
        "profit": closed["PnL"].tolist(),
    }


(folder / "out.json").write_text(json.dumps([trades(job) for job in jobs]))
