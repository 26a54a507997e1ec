"""The same strategies as ordinary Python, with the full order path."""

from __future__ import annotations

from typing import Any

from tests.bench import raw
from tests.bench.figure import Figure, at_least, by_clock, share_of, thousands
from tests.bench.measure import alternate
from tests.bench.scene import FAST, SLOW, Scene, crossing, feeding, first_rows, quoting

TARGET = 500e3


def measure(scene: Scene) -> list[Figure]:
    """Ticks and bars, beside the raw loops run by the same interpreter."""
    ticks = first_rows(scene.million_ticks, scene.rows(500_000))
    bars = first_rows(scene.million_bars, scene.rows(500_000))
    # tuples: long lists would be searched by every collection of garbage while the engine runs
    bid, ask, close = (tuple(c.tolist()) for c in (ticks["bid"], ticks["ask"], bars["close"]))
    return [
        line(
            "ticks",
            scene,
            feeding(quoting(), "tick", ticks, "interpreted"),
            len(bid),
            loop_of_ticks(bid, ask),
        ),
        line("bars", scene, feeding(crossing(), "bar", bars, "interpreted"), len(close), loop_of_bars(close)),
    ]


def loop_of_ticks(bid: tuple[float, ...], ask: tuple[float, ...]) -> Any:
    """The raw loop of ticks, not compiled."""
    return lambda: lambda: raw.ticks(bid, ask, 60, 600, 0.001)


def loop_of_bars(close: tuple[float, ...]) -> Any:
    """The raw loop of bars, not compiled."""
    return lambda: lambda: raw.bars(close, FAST, SLOW)


def line(what: str, scene: Scene, prepare: Any, rows: int, hand_written: Any) -> Figure:
    """One line of the table."""
    ours, loop = alternate([prepare, hand_written], max(3, scene.rounds // 2))
    rate = ours.cpu.rate(rows)
    return Figure(
        f"interpreted, {what}, full order path",
        "≥ 500 k/s",
        thousands(rate),
        at_least(rate, TARGET),
        share_of(ours, loop).replace("raw loop", "raw loop in plain Python"),
        by_clock(ours, rows),
    )
