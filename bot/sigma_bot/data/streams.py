"""From a file's rows to the engine's columns: bars, prepared ticks, or ticks built from events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import numpy as np

from sigma_bot.data.build import stream_ticks
from sigma_bot.data.rules import Columns
from sigma_bot.data.series import Scan, Series
from sigma_bot.errors import BadInputError
from sigma_bot.model.ticks import INTERVAL
from sigma_bot.times import DAY, HOUR, MINUTE, SECOND, iso

UNIT_NAMES = (
    (DAY, "d"),
    (HOUR, "h"),
    (MINUTE, "m"),
    (SECOND, "s"),
)


class Stream(Protocol):
    """One symbol's rows as the engine takes them (without the symbol column)."""

    kind: Literal["tick", "bar"]
    timeframe: int
    rows: int
    start: int
    end: int
    has_volume: bool

    def chunks(self) -> Iterator[Columns]:
        """Sorted, checked chunks."""


def duration(ns: int) -> str:
    """``60000000000`` as ``1m``: the largest unit that divides it."""
    return next(
        (f"{ns // unit}{name}" for unit, name in UNIT_NAMES if ns and ns % unit == 0), f"{ns / 1e6:g}ms"
    )


def timeframe_of(times: np.ndarray) -> int:
    """The most common distance between stamps (ns); 0 when there are fewer than two.

    Bars cannot overlap, so where every distance is a multiple of the smallest one and shorter ones are no
    rare exception, the smallest is meant: seconds without a trade are often left out. (Months differ and
    have no such unit: their bars count as 31 days, so they are delivered late rather than early.)
    """
    gaps = np.abs(np.diff(times))  # a file may run backwards
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return 0
    values, counts = np.unique(gaps, return_counts=True)
    common, smallest = int(values[np.argmax(counts)]), int(values[0])
    sparse = counts[values < common].sum() > 0.005 * len(gaps) and not (values % smallest).any()
    return smallest if sparse else common


def choose_timeframe(times: np.ndarray, given: int | None, names: str, warnings: list[str]) -> int:
    """The bars' length: given, or detected. A given one that the data contradict is refused."""
    found = timeframe_of(times)
    if given is None:
        if found == 0:
            raise BadInputError(
                f"{names}: one row does not show how long a bar is; give timeframe: (1m, 1h, 1d)"
            )
        return found
    if found and found < given:
        raise BadInputError(
            f"{names}: the bars are {duration(found)} apart and timeframe says {duration(given)}; "
            f"leave timeframe out, or list {duration(given)} under timeframes to have such bars made"
        )
    if found > given:
        warnings.append(
            f"{names}: bars are mostly {duration(found)} apart although the timeframe is {duration(given)}"
        )
    return given


def stamps_of(times: np.ndarray, timeframe: int) -> str | None:
    """Open or close stamps, told from where sessions begin and end; None when the data do not say.

    A session starts and stops on a round half-hour. Bars stamped at their close then start one bar after it
    and end on it; bars stamped at their open start on it and end one bar before. Needs five sessions of
    short bars.
    """
    half = 1_800_000_000_000
    if timeframe <= 0 or timeframe >= half or len(times) < 2:
        return None
    breaks = np.flatnonzero(np.diff(times) > max(10 * timeframe, 2 * half))
    if len(breaks) < 5:
        return None
    starts, ends = times[breaks + 1] % half, times[breaks] % half
    share = 0.8

    def mostly(values: np.ndarray, wanted: int) -> bool:
        return float(np.mean(values == wanted)) >= share

    if mostly(starts, timeframe) and mostly(ends, 0):
        return "close"
    if mostly(starts, 0) and mostly(ends, half - timeframe):
        return "open"
    return None


class BarStream:
    """Bars: ``ts`` open time, ``end`` close time. ``shift`` is what is subtracted from the stored stamps."""

    kind: Literal["tick", "bar"] = "bar"

    def __init__(self, series: Series, timeframe: int, shift: int) -> None:
        self._series, self.timeframe, self._shift = series, timeframe, shift
        scan = series.scan
        self.rows, self.has_volume = scan.rows, scan.has_volume
        self.start, self.end = scan.first - shift, scan.last - shift + timeframe

    def chunks(self) -> Iterator[Columns]:
        """ts, end, open, high, low, close, volume."""
        for c in self._series.chunks():
            ts = c["ts"] - self._shift if self._shift else c["ts"]
            yield {
                "ts": ts,
                "end": ts + self.timeframe,
                **{n: c[n] for n in ("open", "high", "low", "close", "volume")},
            }


class TickStream:
    """Ticks that were prepared before."""

    kind: Literal["tick", "bar"] = "tick"
    timeframe = 0

    def __init__(self, series: Series) -> None:
        self._series, scan = series, series.scan
        self.rows, self.start, self.end, self.has_volume = scan.rows, scan.first, scan.last, scan.has_volume

    def chunks(self) -> Iterator[Columns]:
        """ts, bid, ask, bid_size, ask_size, last, volume, low, high."""
        return self._series.chunks()


class EventStream:
    """Ticks built from quotes, trades or both while reading. ``rows`` is an upper bound."""

    kind: Literal["tick", "bar"] = "tick"
    timeframe = 0

    def __init__(self, quotes: Series | None, trades: Series | None) -> None:
        self._quotes, self._trades = quotes, trades
        scans = [s.scan for s in (quotes, trades) if s is not None and s.scan.rows]
        self.start = _tick_end(min((s.first for s in scans), default=0))
        self.end = _tick_end(max((s.last for s in scans), default=0))
        self.rows = min(sum(s.rows for s in scans), (self.end - self.start) // INTERVAL + 1) if scans else 0
        self.has_volume = trades is not None and trades.scan.has_volume

    def chunks(self) -> Iterator[Columns]:
        """As TickStream."""
        return stream_ticks(
            self._quotes.chunks() if self._quotes is not None else None,
            self._trades.chunks() if self._trades is not None else None,
        )


def _tick_end(ts: int) -> int:
    return ts - ts % INTERVAL + INTERVAL


def nothing_inside(scan: Scan, names: str, start: int | None, end: int | None) -> BadInputError:
    """The error for a period without rows: what there is, and what was asked."""
    since = iso(start) if start is not None else "the beginning"
    asked = f"{since} .. {iso(end) if end is not None else 'the end'}"
    if start is not None and scan.all_last < start:
        how = "ends before the period"
    elif end is not None and scan.all_first >= end:
        how = "begins after the period"
    else:
        how = "has no row in the period"
    return BadInputError(
        f"{names}: the data {how} {asked}: there are rows from {iso(scan.all_first)} to "
        f"{iso(scan.all_last)}; choose a period inside them"
    )
