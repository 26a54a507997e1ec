"""Depth and length of drawdowns in a sampled series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Drawdown:
    """``depth`` is the deepest fall from a peak as a fraction of it, 0 or negative (-1 at most: a total
    loss).

    ``peak``, ``trough`` and ``recovered`` (ns) belong to the deepest one, ``recovered`` None while it lasts
    and all three None when the series never fell. ``longest`` (ns) is the longest time from a peak to its
    recovery, or to the end of the series, of any drawdown.
    """

    depth: float
    peak: int | None
    trough: int | None
    recovered: int | None
    longest: int


def underwater(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the running peak as a fraction of it, 0 or negative, one entry a value. Values start
    positive."""
    peak = np.maximum.accumulate(values)
    return np.maximum(values / peak - 1.0, -1.0)


def drawdown_of(ts: NDArray[np.int64], values: NDArray[np.float64]) -> Drawdown:
    """Drawdown of ``values`` (positive at the start) at ``ts`` (ns, ascending)."""
    if len(values) == 0:
        return Drawdown(0.0, None, None, None, 0)
    peak = np.maximum.accumulate(values)
    at_peak = values >= peak
    # Which sample set the peak that each one is measured against, and the next one to reach a peak again.
    since = np.maximum.accumulate(np.where(at_peak, np.arange(len(values)), 0))
    tops = np.flatnonzero(at_peak)
    position = np.searchsorted(tops, since)
    following = np.append(tops, len(values))[position + 1]
    ends = ts[np.minimum(following, len(values) - 1)]
    below = ~at_peak
    longest = int(np.max((ends - ts[since])[below], initial=0))
    water = underwater(values)
    low = int(np.argmin(water))
    if water[low] >= 0:
        return Drawdown(0.0, None, None, None, longest)
    recovered = int(ts[following[low]]) if following[low] < len(values) else None
    return Drawdown(float(water[low]), int(ts[since[low]]), int(ts[low]), recovered, longest)
