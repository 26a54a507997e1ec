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
    ratio: str = "–"
    note: str = ""

    def row(self) -> str:
        """The line in Markdown."""
        mark = {True: "reached", False: "**missed**", None: "–"}[self.met]
        return f"| {self.work} | {self.target} | {self.reached} | {mark} | {self.ratio} | {self.note} |"


HEAD = "| work | to reach | median (lowest–highest) | | ratio | on |\n|---|---|---|---|---|---|"


def millions(rate: float) -> str:
    """A rate in millions a second."""
    return f"{rate / 1e6:.1f} M/s"


def thousands(rate: float) -> str:
    """A rate in thousands a second."""
    return f"{rate / 1e3:,.0f} k/s"


def seconds(value: float) -> str:
    """A time."""
    return f"{value:.2f} s"


def mebibytes(value: float) -> str:
    """An amount of memory."""
    return f"{value:,.0f} MiB"


def share_of(ours: Timed, raw: Timed) -> str:
    """How much of the hand-written loop's speed is kept, by processor time."""
    return f"{raw.cpu.median / ours.cpu.median:.2f} of the raw loop ({raw.cpu.median * 1e3:.0f} ms)"


def own_time(timed: Timed, count: float) -> str:
    """The rate by processor time, which holds on a busy machine too."""
    return f"{millions(timed.cpu.rate(count).median)} by processor time"


def at_least(rate: Spread, target: float) -> bool:
    """Whether the median rate reaches the target."""
    return rate.median >= target


def at_most(spread: Spread, target: float) -> bool:
    """Whether the median stays within the target."""
    return spread.median <= target
