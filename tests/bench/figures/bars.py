"""A million bars, the cross of two averages; the run alone."""

from __future__ import annotations

from tests.bench import raw
from tests.bench.figure import Figure, at_least, by_clock, millions, share_of
from tests.bench.measure import alternate
from tests.bench.scene import FAST, SLOW, Scene, counts, crossing, feeding

TARGET = 30e6


def measure(scene: Scene) -> list[Figure]:
    """The compiled run beside the raw loop."""
    columns, manifest = scene.million_bars, crossing()
    rows = len(columns["ts"])
    raw.warm_up()

    def hand_written():
        return lambda: raw.compiled_bars(columns["close"], FAST, SLOW)

    ours, loop = alternate([feeding(manifest, "bar", columns), hand_written], 3 * scene.rounds)
    rate = ours.cpu.rate(rows)
    return [
        Figure(
            f"{rows:,} bars, SMA cross, run only",
            "≥ 30 M/s",
            millions(rate),
            at_least(rate, TARGET),
            share_of(ours, loop),
            f"{counts(manifest, 'bar', columns)}; {by_clock(ours, rows)}",
        )
    ]
