"""One line of the table."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.measure import Spread, Timed


@dataclass(frozen=True)
class Figure:
    """A measured figure beside its target. ``met`` is None where there is no target."""

    work: str
    target: str
    reached: str
    met: bool | None
    ratio: str = "-"
    note: str = ""

    def row(self) -> str:
        """The line in Markdown."""
        mark = {True: "reached", False: "**missed**", None: "-"}[self.met]
        return f"| {self.work} | {self.target} | {self.reached} | {mark} | {self.ratio} | {self.note} |"


HEAD = "| work | to reach | median (lowest to highest) | | ratio | on |\n|---|---|---|---|---|---|"


def millions(rate: Spread) -> str:
    """A rate in millions a second."""
    return f"{rate.show(lambda v: f'{v / 1e6:.{2 if rate.median < 1e6 else 1}f}')} M/s"


def thousands(rate: Spread) -> str:
    """A rate in thousands a second."""
    return f"{rate.show(lambda v: f'{v / 1e3:,.0f}')} k/s"


def seconds(time: Spread) -> str:
    """A time."""
    return f"{time.show(lambda v: f'{v:.2f}')} s"


def share_of(ours: Timed, raw: Timed) -> str:
    """How much of the hand-written loop's speed is kept, by processor time."""
    return f"{raw.cpu.median / ours.cpu.median:.2f} of the raw loop ({raw.cpu.median * 1e3:.0f} ms)"


def by_clock(timed: Timed, count: float) -> str:
    """The rate by the wall clock, which is lower where other processes run."""
    return f"{timed.wall.rate(count).median / 1e6:.2f} M/s by the wall clock"


def at_least(rate: Spread, target: float) -> bool:
    """Whether the median rate reaches the target."""
    return rate.median >= target


def at_most(spread: Spread, target: float) -> bool:
    """Whether the median stays within the target."""
    return spread.median <= target
