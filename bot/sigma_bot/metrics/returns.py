"""Regular returns out of equity samples: the base of every ratio.

The length of a period follows from the run: days when it spans 20 days or more, else hours when it spans 20
hours or more, else minutes. Samples that lie further apart than that are used as they are (``"sample"``),
since made-up zero returns between them would bend every higher moment. A period is half-open on the left,
``(start, end]``: the bar that closes at midnight belongs to the day it measured. Days begin at UTC midnight
moved by ``day_offset``.

A calendar of 365 days or more (crypto) carries the last value through periods without samples. A shorter one
(252 days for an exchange) skips them: nights, week-ends and holidays are no returns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sigma_bot.times import DAY, HOUR, MINUTE

YEAR = 365 * DAY

Floats = NDArray[np.float64]
Times = NDArray[np.int64]


@dataclass(frozen=True)
class Returns:
    """Simple returns ``v[i] / v[i-1] - 1`` of strategy and benchmark over the same periods.

    ``period`` is ``"1d"``, ``"1h"``, ``"1m"`` or ``"sample"``; ``per_year`` how many of them make a year;
    ``ends`` the time (ns) of each period's last sample. ``benchmark`` is empty when it is unknown.
    """

    period: str
    per_year: float
    ends: Times
    strategy: Floats
    benchmark: Floats


def returns_of(
    ts: Times,
    equity: Floats,
    benchmark: Floats,
    *,
    start: int,
    end: int,
    initial: float,
    annualisation: float = 365.0,
    day_offset: int = 0,
) -> Returns:
    """Regular returns of samples ``ts`` (ns, ascending) from ``initial`` money at ``start`` on.

    The series ends with the period in which equity is no longer positive: nothing can be earned on nothing.
    ``annualisation`` is the number of days a year has, ``day_offset`` (ns) moves midnight east of UTC.
    """
    # Of samples at one instant the last one counts.
    later = (ts > start) & np.append(ts[1:] != ts[:-1], True)[: len(ts)]
    ts, equity, benchmark = ts[later], equity[later], benchmark[later]
    name, length = period_of(ts, start, end)
    if len(ts) == 0:
        empty = np.zeros(0)
        return Returns(name, annualisation, np.zeros(0, np.int64), empty, empty)
    if length == 0:
        chosen = np.arange(len(ts))
        per_year = len(ts) * YEAR / (end - start)
    else:
        bucket = (ts + day_offset - 1) // length
        if annualisation >= 365:
            first = (start + day_offset) // length
            count = int(bucket[-1] - first) + 1
            chosen = np.searchsorted(bucket - first, np.arange(count), side="right") - 1
            per_year = annualisation * DAY / length
        else:
            chosen = np.flatnonzero(np.append(bucket[1:] != bucket[:-1], True))
            days = len(np.unique((ts + day_offset - 1) // DAY))
            per_year = annualisation * len(chosen) / days
    ends = np.where(chosen < 0, start, ts[chosen])
    values = np.where(chosen < 0, initial, equity[chosen])
    index = np.where(chosen < 0, 1.0, benchmark[chosen])
    known = bool(np.all(np.isfinite(index)) and np.all(index > 0))
    ruined = np.flatnonzero(values <= 0)
    keep = int(ruined[0]) + 1 if len(ruined) else len(values)
    return Returns(
        period=name,
        per_year=float(per_year),
        ends=ends[:keep],
        strategy=_steps(values[:keep], initial),
        benchmark=_steps(index[:keep], 1.0) if known else np.zeros(0),
    )


def period_of(ts: Times, start: int, end: int) -> tuple[str, int]:
    """Name and length (ns; 0 = take every sample) of the return period for a run from ``start`` to
    ``end``."""
    span = end - start
    if span >= 20 * DAY:
        name, length = "1d", DAY
    elif span >= 20 * HOUR:
        name, length = "1h", HOUR
    else:
        name, length = "1m", MINUTE
    spacing = float(np.median(np.diff(ts))) if len(ts) > 1 else 0.0
    # Half as much again as a period: one sample a day with some lost is still a daily series.
    if spacing <= 1.5 * length:
        return name, length
    for name, length in (("1h", HOUR), ("1d", DAY)):
        if spacing <= 1.5 * length:
            return name, length
    return "sample", 0


def _steps(values: Floats, base: float) -> Floats:
    """Simple returns of ``values``, the first one against ``base``."""
    previous = np.concatenate(([base], values[:-1]))
    return values / previous - 1.0
