"""``sigma data check`` and ``show``: what a look at every row finds. Nothing is changed.

Outliers: log returns beyond 20 robust standard deviations, which are 1.4826 times the median size of the
returns that are not zero among the first million rows. Breaks that begin at the hour most long breaks begin
at are sessions' ends; in daily data without weekends, holidays count up to five days in a row with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from sigma_bot.data.rules import Columns, Rule, describe, faults
from sigma_bot.data.series import Part, Rows, fill_in, in_order
from sigma_bot.data.streams import duration, timeframe_of
from sigma_bot.times import DAY, HOUR, iso

OUTLIER = 20.0
HOLIDAY = 5 * DAY
KEPT = 100_000


@dataclass
class Finding:
    """How often something was found, and where first."""

    name: str
    count: int = 0
    first: str = ""


@dataclass
class Quality:
    """The look at one symbol's rows. Times ns UTC; ``gaps`` are (start, end) of stretches without rows."""

    kind: str
    rows: int = 0
    start: int = 0
    end: int = 0
    timeframe: int = 0
    low: float = np.inf
    high: float = -np.inf
    gaps: list[tuple[int, int]] = field(default_factory=list)
    findings: dict[str, Finding] = field(default_factory=dict)

    def note(self, name: str, count: int, first: Callable[[], str]) -> None:
        """Count something; ``first`` is asked once for the place."""
        found = self.findings.setdefault(name, Finding(name))
        if not found.count:
            found.first = first()
        found.count += count


def inspect(
    parts: Sequence[Part], timeframe: int | None = None, progress: Callable[[int], None] = lambda _: None
) -> Quality:
    """Read every row of the parts, in time order of the files. ``progress`` is told how many rows were
    read."""
    parts = in_order(parts)
    kind = parts[0].layout.kind
    head = np.concatenate([p.head for p in parts[:100]])
    result = Quality(kind, timeframe=(timeframe or timeframe_of(head)) if kind == "bars" else 0)
    threshold = _gap_threshold(result, head)
    breaks: list[np.ndarray] = []
    returns = _Returns()
    previous: Rows | None = None
    for part in parts:
        for rows in part.rows():
            progress(len(rows.index))
            fill_in(kind, rows.columns)
            _rules(result, part, rows)
            _order(result, part, rows, previous)
            breaks.append(_breaks(rows.columns["ts"], previous, threshold))
            returns.add(result, part, rows)
            _extent(result, rows.columns)
            previous = rows.take(slice(-1, None))
    returns.finish(result)
    _gaps(result, np.concatenate(breaks))
    return result


def _rules(result: Quality, part: Part, rows: Rows) -> None:
    for rule, bad in faults(part.layout.kind, rows.columns):
        result.note(rule.name, len(bad), partial(_broken, part, rows, rule, int(bad[0])))


def _broken(part: Part, rows: Rows, rule: Rule, row: int) -> str:
    return f"{part.place(rows.index[row])}, column {rule.column}: {describe(rule, rows.columns, row)}"


def _at(part: Part, rows: Rows, row: int) -> str:
    return f"{part.place(rows.index[row])}: {iso(rows.columns['ts'][row])}"


def _order(result: Quality, part: Part, rows: Rows, previous: Rows | None) -> None:
    columns = rows.columns
    if previous is not None:
        columns = {n: np.concatenate([previous.columns[n], v]) for n, v in columns.items()}
    ts, skip = columns["ts"], int(previous is not None)

    def note(name: str, mask: np.ndarray) -> None:
        found = np.flatnonzero(mask)
        if len(found):
            result.note(name, len(found), partial(_at, part, rows, int(found[0]) + 1 - skip))

    steps = np.diff(ts)
    note("not in order of time", steps < 0)
    same = steps == 0
    if part.layout.kind in ("bars", "ticks"):
        note("duplicate time", same)
    elif "id" in columns:
        note("duplicate row", same & (np.diff(columns["id"]) == 0))


def _breaks(ts: np.ndarray, previous: Rows | None, threshold: int) -> np.ndarray:
    if previous is not None:
        ts = np.concatenate([previous.columns["ts"], ts])
    at = np.flatnonzero(np.diff(ts) > threshold)
    return np.stack([ts[at], ts[at + 1]], axis=1)


def _gap_threshold(result: Quality, head: np.ndarray) -> int:
    """Above this distance (ns) rows are missing: one bar; for events, 50 times the 99th percentile, at
    least 5 min."""
    if result.kind == "bars":
        return int(result.timeframe * (1.5 if result.timeframe < 28 * DAY else 1.2))
    steps = np.abs(np.diff(head))
    return max(300_000_000_000, int(50 * np.percentile(steps, 99)) if len(steps) else 0)


def _gaps(result: Quality, breaks: np.ndarray) -> None:
    usual = np.zeros(len(breaks), bool)
    length = breaks[:, 1] - breaks[:, 0]
    if result.timeframe >= DAY:
        days = (breaks // DAY + 3) % 7  # Monday is 0
        short = length <= HOLIDAY
        usual = short if len(breaks) and ((days[:, 0] == 4) & short).mean() > 0.4 else usual
    else:
        long = length >= max(10 * result.timeframe, HOUR // 2)
        if long.sum() >= 5:
            hours = breaks[long, 0] % DAY // HOUR
            common = int(np.bincount(hours).argmax())
            near = np.abs((breaks[:, 0] % DAY // HOUR - common + 12) % 24 - 12) <= 1
            if near[long].mean() >= 0.5:
                usual = long & near
    found = breaks[~usual]
    result.gaps = [(int(a), int(b)) for a, b in found[:KEPT]]
    if len(found):
        a, b = result.gaps[0]
        longest = int((found[:, 1] - found[:, 0]).max())
        missing = (
            f", {int(((found[:, 1] - found[:, 0]) // result.timeframe - 1).sum())} bars"
            if result.timeframe
            else ""
        )
        text = f"{iso(a)} to {iso(b)} (longest {duration(longest)}{missing} in all)"
        result.note("gap", len(found), lambda: text)


class _Returns:
    """Log returns against a scale from the first million."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Part, Rows, np.ndarray]] = []
        self._count, self._scale, self._last = 0, 0.0, np.nan

    def add(self, result: Quality, part: Part, rows: Rows) -> None:
        """Returns of these rows, the first against the last price before."""
        price = _price(part.layout.kind, rows.columns)
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.log(np.concatenate([[self._last], price]))
        self._last = price[-1]
        self._waiting.append((part, rows, np.diff(logs)))
        self._count += len(price)
        if self._count >= 1_000_000:
            self.finish(result)

    def finish(self, result: Quality) -> None:
        """Count the outliers among what waits."""
        if not self._waiting:
            return
        if self._scale == 0.0:
            every = np.concatenate([r for _, _, r in self._waiting])
            moved = every[np.isfinite(every) & (every != 0)]
            self._scale = 1.4826 * float(np.median(np.abs(moved))) if len(moved) >= 30 else 0.0
        for part, rows, returns in self._waiting:
            if self._scale > 0.0:
                far = np.flatnonzero(np.isfinite(returns) & (np.abs(returns) > OUTLIER * self._scale))
                if len(far):
                    result.note("outlier", len(far), partial(self._jump, part, rows, returns, int(far[0])))
        self._waiting = []

    def _jump(self, part: Part, rows: Rows, returns: np.ndarray, row: int) -> str:
        z, change = abs(returns[row]) / self._scale, np.expm1(returns[row])
        return f"{_at(part, rows, row)}, {change:+.2%}, {z:.0f} robust deviations"


def _price(kind: str, c: Columns) -> np.ndarray:
    if kind == "bars":
        return c["close"]
    return c["price"] if kind == "trades" else (c["bid"] + c["ask"]) * 0.5


def _extent(result: Quality, c: Columns) -> None:
    ts = c["ts"]
    result.start = int(ts.min()) if result.rows == 0 else min(result.start, int(ts.min()))
    result.end = int(ts.max()) if result.rows == 0 else max(result.end, int(ts.max()))
    result.rows += len(ts)
    low, high = (c["low"], c["high"]) if "low" in c else (_price(result.kind, c),) * 2
    with np.errstate(invalid="ignore"):
        result.low = min(result.low, float(np.nanmin(low)) if not np.isnan(low).all() else np.inf)
        result.high = max(result.high, float(np.nanmax(high)) if not np.isnan(high).all() else -np.inf)
