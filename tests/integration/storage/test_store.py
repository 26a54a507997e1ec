"""A run is stored whole and read back to the last digit, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sigma_bot.database.columns import Exact
from sigma_bot.engine.types import OrderType, Reason, TimeInForce
from sigma_bot.errors import BadInputError
from sigma_bot.results import open_store, schema
from sigma_bot.results.records import Sweep, Trial
from sigma_bot.results.result import FILL, ORDER, ORDER_STATUS, BacktestResult, ResultMarket, equity_dtype
from sigma_bot.results.trades import TRADE
from sigma_bot.schema import tables
from tests.integration.storage import storage_samples as samples


def same(left: Any, right: Any) -> bool:
    """Equality to the bit; NaN equals NaN, whatever its payload."""
    if isinstance(left, np.ndarray):
        if left.dtype != right.dtype or left.shape != right.shape:
            return False
        return all(np.array_equal(left[name], right[name], equal_nan=True) for name in left.dtype.names)
    return bool(left == right)


def assert_same_result(stored: BacktestResult, original: BacktestResult) -> None:
    for field in dataclasses.fields(BacktestResult):
        assert same(getattr(stored, field.name), getattr(original, field.name)), field.name


async def test_a_result_comes_back_as_it_was_given(database: str) -> None:
    original, trades = samples.result(50), samples.trades()
    async with await open_store(database) as store:
        run = await store.save_result(original, trades, samples.METRICS)
    async with await open_store(database) as store:
        stored = await store.load_full(run)
    assert_same_result(stored.result, original)
    assert same(stored.trades, trades)
    assert stored.metrics == samples.METRICS


async def test_a_run_without_orders_is_stored(database: str) -> None:
    original = samples.result(0, rejections={}, warnings=[], params={})
    async with await open_store(database) as store:
        run = await store.save_result(original, samples.trades(0), {})
        stored = await store.load_full(run)
    assert_same_result(stored.result, original)
    assert same(stored.trades, samples.trades(0))


async def test_more_rows_than_one_chunk_keep_their_order(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigma_bot.database.bulk.CHUNK", 7)
    original = samples.result(50)
    async with await open_store(database) as store:
        stored = await store.load_full(await store.save_result(original, samples.trades(), {}))
    assert_same_result(stored.result, original)


# Generated results: every integer and float a field can hold, odd lot sizes, precisions and names.
INT64 = st.integers(-(2**63), 2**63 - 1)
PRICE = st.one_of(
    st.floats(allow_infinity=False), st.floats(0, 1e6), st.sampled_from([0.0, -0.0, 1e300, 5e-324])
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
LOT = st.builds(lambda m, e: Decimal(m).scaleb(e), st.integers(1, 999_999), st.integers(-12, 3))
CODES = {
    "kind": len(OrderType),
    "tif": len(TimeInForce),
    "status": len(ORDER_STATUS),
    "reason": len(Reason),
    "maker": 2,
}


@st.composite
def rows(draw: Any, dtype: np.dtype[Any], symbols: int) -> NDArray[np.void]:
    array = np.zeros(draw(st.integers(0, 3)), dtype)
    for row in array:
        for name in dtype.names or ():
            row[name] = draw(_values(name, dtype[name], symbols))
    return array


def _values(name: str, kind: np.dtype[Any], symbols: int) -> st.SearchStrategy[Any]:
    if kind.shape:
        return st.lists(PRICE, min_size=symbols, max_size=symbols)
    if name in CODES or name == "symbol":
        return st.integers(0, CODES.get(name, symbols) - 1)
    if name == "side":
        return st.sampled_from([1, -1])
    return PRICE if kind.kind == "f" else st.booleans() if kind.kind == "b" else INT64


@st.composite
def results(draw: Any) -> tuple[BacktestResult, NDArray[np.void]]:
    names = draw(st.lists(TEXT, min_size=1, max_size=3, unique=True))
    markets = tuple(ResultMarket(name, draw(st.none() | LOT), draw(LOT)) for name in names)
    result = samples.result(
        0,
        name=draw(TEXT),
        markets=markets,
        precision=draw(st.integers(0, 12)),
        initial_cash=draw(INT64),
        start=draw(st.integers(-(10**18), 4 * 10**18)),
        params=draw(st.dictionaries(TEXT, st.one_of(INT64, st.booleans(), st.floats(allow_nan=False)))),
        orders=draw(rows(ORDER, len(names))),
        fills=draw(rows(FILL, len(names))),
        equity=draw(rows(equity_dtype(len(names)), len(names))),
        rejections=draw(st.dictionaries(TEXT, st.integers(0, 2**62))),
        final={"cash": draw(INT64), "equity": draw(st.floats(allow_nan=False, allow_infinity=False))},
    )
    return result, draw(rows(TRADE, len(names)))


@given(results())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_stored_reads_back_the_same(database: str, generated: tuple[Any, Any]) -> None:
    original, trades = generated

    async def there_and_back() -> Any:
        async with await open_store(database) as store:
            return await store.load_full(await store.save_result(original, trades, {}))

    stored = asyncio.run(there_and_back())
    assert_same_result(stored.result, original)
    assert same(stored.trades, trades)


async def test_ledger_columns_hold_the_exact_decimal(database: str) -> None:
    original = samples.result(30)
    async with await open_store(database) as store:
        await store.save_result(original, samples.trades(), {})
        found = await store._run(lambda connection: connection.execute(sa.select(schema.run_fills)).all())
        run = (await store.list_runs())[0]
    assert run.initial_cash == Decimal("10000.00000001")
    for row, fill in zip(found, original.fills, strict=True):
        lot = original.markets[fill["symbol"]].lot_size
        assert row.notional == Decimal(int(fill["notional"])).scaleb(-8)
        assert row.quantity == int(fill["lots"]) * lot
        assert row.price == Decimal(repr(float(fill["price"])))
        assert (row.symbol, row.side) == (
            original.markets[fill["symbol"]].symbol,
            "buy" if fill["side"] > 0 else "sell",
        )


async def test_columns_of_money_are_numeric_or_text_never_float(database: str) -> None:
    amounts = [
        (table.name, column.name)
        for table in tables.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, Exact)
    ]
    async with await open_store(database) as store:
        inspect = await store._run(
            lambda connection: {
                (table, column["name"]): str(column["type"])
                for table in tables.metadata.tables
                for column in sa.inspect(connection).get_columns(table)
            }
        )
    assert len(amounts) > 20
    assert {inspect[amount] for amount in amounts} == {"TEXT" if database.startswith("sqlite") else "NUMERIC"}


async def test_a_float_is_refused_by_a_ledger_column(database: str) -> None:
    async with await open_store(database) as store:
        update = schema.runs.update().values(initial_cash=0.1)
        with pytest.raises(sa.exc.StatementError, match="takes a Decimal, not float"):
            await store._run(lambda connection: connection.execute(update), "BEGIN IMMEDIATE")


async def test_the_same_result_twice_is_two_runs_with_one_digest(database: str) -> None:
    async with await open_store(database) as store:
        first = await store.save_result(samples.result(), samples.trades(), {})
        second = await store.save_result(samples.result(), samples.trades(), {})
        runs = await store.list_runs()
        by_digest = await store.run(runs[0].digest[:12])
    assert first != second
    assert [run.id for run in runs] == [second, first]
    assert len({run.digest for run in runs}) == 1
    assert by_digest.id == second


async def test_runs_are_found_by_beginning_name_and_nearest(database: str) -> None:
    async with await open_store(database) as store:
        first = await store.save_result(samples.result(seed=0xA1 << 240), samples.trades(), {})
        second = await store.save_result(
            samples.result(seed=0xA2 << 240, name="50%_off"), samples.trades(), {}
        )
        assert (await store.run(first)).id == first
        assert (await store.run(first.upper()[:10])).id == first
        assert (await store.run("50%_off")).id == second
        assert [run.id for run in await store.list_runs(name="50%_off")] == [second]
        assert [run.id for run in await store.list_runs(limit=1)] == [second]
        with pytest.raises(BadInputError, match=r"fits several: .*; write more of it"):
            await store.run("r")
        with pytest.raises(BadInputError, match=f"did you mean '{second}'"):
            await store.run("x" + second[1:])
        with pytest.raises(BadInputError, match="see `sigma results list`"):
            await store.run("%")
        with pytest.raises(BadInputError, match="is not stored"):
            await store.run("")


async def test_a_sweep_keeps_every_trial(database: str) -> None:
    head = {
        name: getattr(samples.result(), name)
        for name in ("digest", "digests", "engine", "strategy", "timeframe")
    }
    sweep = Sweep(
        name="grid",
        **head,
        params={"fast": "5:50:5"},
        kind="bar",
        currency="USD",
        precision=2,
        initial_cash=1_000_000,
        start=0,
        end=10**18,
        events=5000,
        status="interrupted",
        settings={"objective": "sharpe"},
    )
    trials = [
        Trial(n, {"fast": n, "slow": 1.5}, {"sharpe": n / 7, "sortino": float("nan")}, f"{n}")
        for n in range(9)
    ]
    async with await open_store(database) as store:
        run = await store.save_trials(sweep, trials)
        found = await store.run(run)
        stored = await store.trials(run)
        with pytest.raises(BadInputError, match="is a sweep"):
            await store.load_full(run)
    assert (found.kind, found.status, found.counts) == ("sweep", "interrupted", {"trials": 9})
    assert found.initial_cash == Decimal("10000.00")
    assert found.details["settings"] == {"objective": "sharpe"}
    assert [(t.number, t.params, t.digest, t.metrics["sharpe"]) for t in stored] == [
        (t.number, t.params, t.digest, t.metrics["sharpe"]) for t in trials
    ]


async def test_an_error_half_way_leaves_nothing(database: str) -> None:
    broken = samples.trades()
    broken["side"][-1] = 7  # no such side: fails after orders and fills went in
    async with await open_store(database) as store:
        with pytest.raises(KeyError):
            await store.save_result(samples.result(100), broken, {})
        assert await store.list_runs() == []
        left = await store._run(
            lambda connection: [
                connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
                for table in tables.metadata.tables.values()
            ]
        )
    assert left == [0] * len(left)


async def test_an_array_of_other_fields_is_refused(database: str) -> None:
    async with await open_store(database) as store:
        with pytest.raises(ValueError, match="run_trades: expected an array"):
            await store.save_result(samples.result(), np.zeros(1, [("pnl", "f8")]), {})


def test_a_relative_path_is_a_sqlite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def save() -> None:
        async with await open_store("mine.db") as store:
            await store.save_result(samples.result(), samples.trades(), {})

    asyncio.run(save())
    assert (tmp_path / "mine.db").is_file()
    assert not list(tmp_path.glob("mine.db-*")), "closed cleanly: the journal is folded in"
