"""The cross of two averages in our engine: its trades, to be compared, and its runs, to be timed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sigma_bot.backtest.tester import run_backtest
from sigma_bot.results.trades import result_trades
from sigma_bot.spec import Backtest
from tests.bench.figure import Figure, millions
from tests.bench.measure import Spread, alternate
from tests.bench.peers.environment import Answer, ask, same
from tests.bench.scene import FAST, SLOW, Columns, Scene, bars, crossing, feeding

Ask = Callable[[Columns, int], Answer]


def trades_of(scene: Scene, rows: int) -> dict[str, np.ndarray]:
    """Closed trades of a run from the file: times (ns) and prices of entry and exit."""
    manifest = Backtest.model_validate(crossing({"path": str(scene.parquet("bars", rows))}))
    result = run_backtest(manifest, Path(tempfile.gettempdir()), "compiled")
    trades = result_trades(result)
    trades = trades[~trades["open"]]
    return {name: trades[name] for name in ("entry", "exit", "entry_price", "exit_price")}


def beside(scene: Scene, package: str, script: str, rows: int, runs: int) -> Figure:
    """Compare trade by trade, then time both in turn."""
    columns = bars(rows)
    given = {n: columns[n] for n in ("ts", "open", "high", "low", "close", "volume")}

    def peer(repeats: int) -> Answer:
        return ask(scene, package, script, given, fast=FAST, slow=SLOW, repeats=repeats)

    agreed = same(trades_of(scene, rows), peer(0).arrays, package)
    theirs: list[float] = []
    ours: list[float] = []
    for _ in range(3):
        theirs += peer(runs).seconds
        ours += alternate([feeding(crossing(), "bar", columns)], 5)[0].cpu.values
    their_rate, our_rate = Spread(tuple(theirs)).rate(rows), Spread(tuple(ours)).rate(rows)
    return Figure(
        f"{package}: SMA cross, {rows:,} bars, run only",
        "-",
        f"{millions(their_rate)}; ours {millions(our_rate)}",
        None,
        f"{our_rate.median / their_rate.median:,.1f} times the peer",
        f"entry and exit, time and price: {agreed}",
    )
