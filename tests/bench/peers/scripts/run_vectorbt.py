"""The cross of two averages in vectorbt: signals at a close fill at the next open. Arguments: folder, job."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import vectorbt as vbt

folder, job = Path(sys.argv[1]), json.loads(sys.argv[2])
columns = np.load(folder / "in.npz")
index = pd.DatetimeIndex(columns["ts"])
opening, close = (pd.Series(columns[name], index=index) for name in ("open", "close"))


def run():
    """One run, averages included."""
    fast = vbt.MA.run(close, job["fast"]).ma
    slow = vbt.MA.run(close, job["slow"]).ma
    above = (fast > slow).vbt.fshift(1).astype(bool)
    below = (fast < slow).vbt.fshift(1).astype(bool)
    return vbt.Portfolio.from_signals(
        close, above, below, price=opening, size=1.0, init_cash=1e7, freq="1min"
    )


seconds = []
if job["repeats"]:
    run().final_value()  # compiles
for _ in range(job["repeats"]):
    started = time.thread_time()
    run().final_value()
    seconds.append(time.thread_time() - started)
if not job["repeats"]:
    trades = run().trades.records
    trades = trades[trades["status"] == 1]
    np.savez(
        folder / "out.npz",
        entry=columns["ts"][trades["entry_idx"]],
        exit=columns["ts"][trades["exit_idx"]],
        entry_price=trades["entry_price"].to_numpy(),
        exit_price=trades["exit_price"].to_numpy(),
    )
print(json.dumps(seconds))
