"""The largest memory of a process that runs ticks from Parquet."""

from __future__ import annotations

from tests.bench.figure import Figure
from tests.bench.figures.process import SIGMA
from tests.bench.measure import process
from tests.bench.scene import Scene, quoting

LIMIT = 600
ROW = 84  # bytes of a tick in memory


def measure(scene: Scene) -> list[Figure]:
    """Five and fifty million ticks; the latter not when it must be quick."""
    return [line(scene, millions) for millions in ((5,) if scene.quick else (5, 50))]


def line(scene: Scene, millions: int) -> Figure:
    """One line of the table."""
    data = scene.parquet("ticks", millions * 1_000_000)
    manifest = scene.manifest("memory", quoting({"path": str(data)}))
    done = process([SIGMA, "backtest", manifest], scene.environment())
    whole = millions * 1e6 * ROW / 2**20
    return Figure(
        f"memory, {millions} million ticks from Parquet",
        f"≤ {LIMIT} MiB",
        f"{done.memory:,.0f} MiB",
        done.memory <= LIMIT,
        f"{done.memory / whole:.2f} of the ticks themselves ({whole:,.0f} MiB)",
        f"{done.wall:.1f} s, {millions / done.wall:.1f} M ticks/s with reading, checking and hashing",
    )
