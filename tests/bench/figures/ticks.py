"""Five million ticks: two averages, a volatility, resting orders, fees and risk; the run alone."""

from __future__ import annotations

from tests.bench import raw
from tests.bench.figure import Figure, at_least, by_clock, millions, share_of
from tests.bench.measure import alternate
from tests.bench.scene import Scene, counts, feeding, quoting

TARGET = 25e6


def measure(scene: Scene) -> list[Figure]:
    """The compiled run beside the raw loop."""
    columns, manifest = scene.million_ticks, quoting()
    rows = len(columns["ts"])
    raw.warm_up()

    def hand_written():
        return lambda: raw.compiled_ticks(columns["bid"], columns["ask"], 60, 600, 0.001)

    ours, loop = alternate([feeding(manifest, "tick", columns), hand_written], scene.rounds)
    rate = ours.cpu.rate(rows)
    return [
        Figure(
            f"{rows:,} ticks, run only",
            "≥ 25 M/s",
            millions(rate),
            at_least(rate, TARGET),
            share_of(ours, loop),
            f"{counts(manifest, 'tick', columns)}; {by_clock(ours, rows)}",
        )
    ]
