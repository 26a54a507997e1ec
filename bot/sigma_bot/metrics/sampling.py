"""Fewer points for a chart, without losing what the eye looks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def keep_extremes(values: NDArray[np.float64], most: int = 5000) -> NDArray[np.int64]:
    """Indices (ascending) of at most ``most`` points: first, lowest, highest and last of each of ``most //
    4`` runs.

    At a chart no wider than the number of runs the line drawn from them covers the same pixels as the whole
    series (Jugel et al., *M4: A Visualization-Oriented Time Series Data Aggregation*, 2014). All indices when
    there are few.
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    size = -(-count // (most // 4))
    runs = -(-count // size)
    # The last run is filled up with its own last value: an index past the end is clipped back to it.
    padded = np.concatenate((values, np.full(runs * size - count, values[-1]))).reshape(runs, size)
    first = np.arange(runs) * size
    chosen = np.concatenate((first, first + padded.argmin(1), first + padded.argmax(1), first + size - 1))
    return np.unique(np.minimum(chosen, count - 1))
