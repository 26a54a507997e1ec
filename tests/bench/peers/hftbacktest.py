"""hftbacktest, an engine in Rust with the strategy compiled by Numba, on the same quotes as a book's changes.

Fills of resting orders depend on each engine's model of the queue, so what is compared are market orders
without latency: the time and the price of every one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from sigma_bot.backtest.tester import run_backtest
from sigma_bot.spec import Backtest
from tests.bench.figure import Figure, millions
from tests.bench.measure import Spread, alternate
from tests.bench.peers.environment import Answer, ask, same
from tests.bench.scene import Scene, feeding, first_rows, flipping, quoting

PACKAGE = "hftbacktest==2.4.4"
EVERY = 100_000_000_000
GIVEN = ("ts", "bid", "ask", "bid_size", "ask_size", "last", "volume")


def measure(scene: Scene) -> Figure:
    """Its run of the quoting strategy beside ours."""
    rows = scene.rows(1_000_000)
    columns = first_rows(scene.million_ticks, rows)
    given = {name: columns[name] for name in GIVEN}

    def peer(repeats: int) -> Answer:
        return ask(scene, PACKAGE, "run_hftbacktest.py", given, every=EVERY, repeats=repeats)

    agreed = same(fills_of(scene, rows), peer(0).arrays, PACKAGE)
    theirs: list[float] = []
    ours: list[float] = []
    for _ in range(3):
        theirs += peer(3).seconds
        ours += alternate([feeding(quoting(), "tick", columns)], 5)[0].cpu.values
    their_rate, our_rate = Spread(tuple(theirs)).rate(rows), Spread(tuple(ours)).rate(rows)
    return Figure(
        f"{PACKAGE}: two averages, volatility, resting orders, {rows:,} ticks, run only",
        "-",
        f"{millions(their_rate)}; ours {millions(our_rate)}",
        None,
        f"{our_rate.median / their_rate.median:,.1f} times the peer",
        f"market orders, time and price: {agreed}",
    )


def fills_of(scene: Scene, rows: int) -> dict[str, np.ndarray]:
    """Times (ns) and prices of our market orders."""
    manifest = Backtest.model_validate(flipping({"path": str(scene.parquet("ticks", rows))}))
    fills = run_backtest(manifest, Path(tempfile.gettempdir()), "compiled").fills
    return {"ts": fills["ts"], "price": fills["price"]}
