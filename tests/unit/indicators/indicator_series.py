"""Feeding indicators with columns and comparing what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np

Columns = dict[str, np.ndarray]


def made(cls: Any, *args: Any) -> Any:
    """An indicator after ``setup(*args)``."""
    indicator = cls()
    indicator.setup(*args)
    return indicator


def feed(indicator: Any, columns: list[np.ndarray], outputs: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Every output and ``ready`` after each row."""
    names = (*outputs, "ready")
    rows = []
    for row in zip(*(column.tolist() for column in columns), strict=True):
        indicator.update(*row)
        rows.append([getattr(indicator, name) for name in names])
    return {name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def windows(x: np.ndarray, n: int) -> np.ndarray:
    """All full windows of ``n`` values, one a row."""
    return np.lib.stride_tricks.sliding_window_view(x, n)


def padded(x: np.ndarray, n: int) -> np.ndarray:
    """``x`` after NaN for the rows before the first of ``n``-long windows."""
    return np.concatenate([np.full(n - 1, np.nan), x])
