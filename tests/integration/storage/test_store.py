"""A run is stored whole and read back to the last digit, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import storage_samples as samples
from sigma_bot.backtest.result import BacktestResult
from sigma_bot.errors import BadInputError
from sigma_bot.storage import open_store, use_store
from sigma_bot.storage.records import Sweep, Trial
from sigma_bot.storage.store import Store


def same(left: Any, right: Any) -> bool:
    """Equality to the bit; NaN equals NaN."""
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.tobytes() == right.tobytes()
    return bool(left == right)


def assert_same_result(stored: BacktestResult, given: BacktestResult) -> None:
    for field in dataclasses.fields(BacktestResult):
        assert same(getattr(stored, field.name), getattr(given, field.name)), field.name


async def test_a_result_comes_back_as_it_was_given(database: str) -> None:
    given, trades = samples.result(50), samples.trades()
    async with await open_store(database) as store:
        run = await store.save_result(given, trades, samples.METRICS)
    async with await open_store(database) as store:
        stored = await store.load_full(run)
    assert_same_result(stored.result, given)
    assert same(stored.trades, trades)
    assert stored.metrics == samples.METRICS


async def test_a_run_without_orders_is_stored(database: str) -> None:
    given = samples.result(0, rejections={}, warnings=[], params={})
    async with await open_store(database) as store:
        run = await store.save_result(given, samples.trades(0), {})
        stored = await store.load_full(run)
    assert_same_result(stored.result, given)
    assert stored.trades.dtype == samples.trades(0).dtype
