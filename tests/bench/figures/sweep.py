"""A thousand combinations of the cross of two averages over 100,000 bars, on every core."""

from __future__ import annotations

import json
import os
import time

from tests.bench import raw
from tests.bench.figure import Figure, at_least, millions
from tests.bench.figures.process import SIGMA
from tests.bench.measure import Spread, process
from tests.bench.scene import Scene, bars, crossing

TARGET = 150e6
FASTS, SLOWS = range(5, 54, 2), range(55, 212, 4)


def measure(scene: Scene) -> list[Figure]:
    """The rate that the command reports, beside the raw loop over the same combinations."""
    rows = scene.rows(100_000)
    manifest = scene.manifest("sweep", crossing({"path": str(scene.parquet("bars", rows))}))
    command = [SIGMA, "sweep", manifest, "--output", "json", "--no-store"]
    for name, values in (("fast", FASTS), ("slow", SLOWS)):
        command += ["--param", f"{name}={values.start}:{values[-1]}:{values.step}"]
    close = bars(rows)["close"]
    raw.warm_up()
    rates: list[float] = []
    loops: list[float] = []
    spent: list[float] = []
    for n in range(2 if scene.quick else 4):  # the first round fills the cache
        done = process(command, scene.environment())  # type: ignore[arg-type]
        document = json.loads(done.output)
        rate = raw_rate(close)
        if n:
            rates.append(document["rows_per_second"])
            loops.append(rate)
            spent.append(done.cpu)
    ours, loop = Spread(tuple(rates)), Spread(tuple(loops))
    cores = len(os.sched_getaffinity(0))
    work = len(FASTS) * len(SLOWS) * rows
    possible = work / (Spread(tuple(spent)).median / cores)
    return [
        Figure(
            f"sweep, {len(FASTS) * len(SLOWS):,} combinations on {rows:,} bars, {cores} cores",
            "≥ 150 M/s",
            millions(ours),
            at_least(ours, TARGET),
            f"{ours.median / loop.median:.2f} of the raw loop on one core ({loop.median / 1e6:.0f} M/s)",
            f"metrics of every trial included; {possible / 1e6:.1f} M/s by processor time of it all",
        )
    ]


def raw_rate(close) -> float:
    """Combination-bars a second of the raw loop on one core."""
    started = time.perf_counter()
    for fast in FASTS:
        for slow in SLOWS:
            raw.compiled_bars(close, fast, slow)
    return len(FASTS) * len(SLOWS) * len(close) / (time.perf_counter() - started)
