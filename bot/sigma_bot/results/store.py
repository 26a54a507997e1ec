"""The store: save a run whole or not at all, list, find and read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from numpy.typing import NDArray

from sigma_bot.database import bulk, codec
from sigma_bot.database.columns import metadata
from sigma_bot.database.engine import READ, WRITE, Database
from sigma_bot.errors import BadInputError, nearest
from sigma_bot.results import records, schema, series
from sigma_bot.results.records import StoredResult, StoredRun, Sweep, Trial
from sigma_bot.results.result import BacktestResult

T = TypeVar("T")


class Store:
    """An open database. Use as ``async with await open_store(url) as store``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.where = database.where

    @classmethod
    async def open(cls, url: str | None, *, create: bool, lock_timeout: float) -> Self:
        """See `sigma_bot.results.open_store`."""
        return cls(await Database.open(url, create=create, lock_timeout=lock_timeout))

    async def close(self) -> None:
        """Give back every connection."""
        await self._database.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def save_result(
        self, result: BacktestResult, trades: NDArray[Any], metrics: Mapping[str, Any]
    ) -> str:
        """Store a backtest in one transaction and return the new run's id. Saved twice, it is two runs, one
        digest.
        """
        return await self._run(lambda connection: _save_result(connection, result, trades, metrics), WRITE)

    async def save_trials(self, sweep: Sweep, trials: Sequence[Trial]) -> str:
        """Store a sweep and all its trials in one transaction and return the new run's id."""
        return await self._run(lambda connection: _save_trials(connection, sweep, trials), WRITE)

    async def list_runs(self, limit: int = 20, name: str | None = None) -> list[StoredRun]:
        """The newest runs first, of one name when given."""
        return await self._run(lambda connection: _list_runs(connection, limit, name))

    async def run(self, reference: str) -> StoredRun:
        """The run meant by an id, the beginning of one or of a digest, or a name (then the newest of that
        name).

        Raises BadInputError, with the nearest known name, when none or several fit.
        """
        return await self._run(lambda connection: _find(connection, reference))

    async def load_full(self, reference: str) -> StoredResult:
        """A backtest with its series, as it was given to `save_result`."""
        return await self._run(lambda connection: _load(connection, _find(connection, reference)))

    async def trials(self, reference: str) -> list[Trial]:
        """The trials of a sweep by number; none for a backtest."""
        return await self._run(lambda connection: _trials(connection, _find(connection, reference)))

    async def _run(self, work: Callable[[sa.Connection], T], begin: str = READ) -> T:
        return await self._database.run(work, begin)


def _save_result(
    connection: sa.Connection, result: BacktestResult, trades: NDArray[Any], metrics: Mapping[str, Any]
) -> str:
    row = records.result_row(result, metrics)
    run = _insert_run(connection, row)
    units = _units(result)
    parts = (
        (series.ORDERS, result.orders),
        (series.FILLS, result.fills),
        (series.TRADES, trades),
        (series.EQUITY, result.equity),
    )
    for kind, rows in parts:
        bulk.insert(connection, kind.table, ("seq", *kind.columns), run, _chunks(kind, rows, units))
    if result.rejections:
        reasons = [range(len(result.rejections)), list(result.rejections), list(result.rejections.values())]
        bulk.insert(connection, "run_rejections", ("seq", "reason", "count"), run, [reasons])
    return str(row["id"])


def _chunks(kind: series.Series, rows: NDArray[Any], units: series.Units) -> Iterator[bulk.Columns]:
    for start in range(0, len(rows), bulk.CHUNK):
        part = rows[start : start + bulk.CHUNK]
        yield [range(start, start + len(part)), *kind.write(part, units)]


def _save_trials(connection: sa.Connection, sweep: Sweep, trials: Sequence[Trial]) -> str:
    row = records.sweep_row(sweep, len(trials))
    run = _insert_run(connection, row)
    columns: list[Sequence[Any]] = [
        [trial.number for trial in trials],
        [codec.dump(trial.params) for trial in trials],
        [codec.dump(trial.metrics) for trial in trials],
        [trial.digest for trial in trials],
    ]
    if trials:
        bulk.insert(connection, "run_trials", ("number", "params", "metrics", "digest"), run, [columns])
    return str(row["id"])


def _insert_run(connection: sa.Connection, row: Mapping[str, Any]) -> int:
    inserted = connection.execute(schema.runs.insert().values(row).returning(schema.runs.c.pk))
    return int(inserted.scalar_one())


def _list_runs(connection: sa.Connection, limit: int, name: str | None) -> list[StoredRun]:
    runs = schema.runs
    query = sa.select(runs).order_by(runs.c.created.desc(), runs.c.pk.desc()).limit(limit)
    if name is not None:
        query = query.where(runs.c.name == name)
    return [records.stored_run_of(row) for row in connection.execute(query).mappings()]


def _find(connection: sa.Connection, reference: str) -> StoredRun:
    runs = schema.runs
    wanted = reference.strip().lower()
    newest = sa.select(runs).order_by(runs.c.created.desc(), runs.c.pk.desc())
    if wanted:
        for column in (runs.c.id, runs.c.digest):
            found = (
                connection.execute(newest.where(column.startswith(wanted, autoescape=True))).mappings().all()
            )
            if len({row[column.name] for row in found}) > 1:
                listed = ", ".join(row["id"] for row in found[:5])
                raise BadInputError(f"run {reference!r} fits several: {listed}; write more of it")
            if found:
                return records.stored_run_of(found[0])
    named = connection.execute(newest.where(runs.c.name == reference).limit(1)).mappings().first()
    if named is not None:
        return records.stored_run_of(named)
    known = connection.execute(sa.select(runs.c.id, runs.c.name)).all()
    hint = nearest(reference, sorted({word for row in known for word in row})) or "; see `sigma results list`"
    raise BadInputError(f"run {reference!r} is not stored{hint}")


def _load(connection: sa.Connection, run: StoredRun) -> StoredResult:
    if run.kind != "backtest":
        raise BadInputError(f"run {run.id} is a {run.kind}: it holds trials, not orders and fills")
    markets = run.details["markets"]
    units = series.Units(
        run.precision,
        tuple(market["symbol"] for market in markets),
        tuple(market["lot_size"] for market in markets),
    )
    names = {"orders": series.ORDERS, "fills": series.FILLS, "trades": series.TRADES, "equity": series.EQUITY}
    arrays = {
        name: kind.read(_rows(connection, kind.table, kind.columns, run), units)
        for name, kind in names.items()
    }
    counted: Any = _rows(connection, "run_rejections", ("reason", "count"), run)
    rejections = dict(counted)
    return StoredResult(run, records.result_of(run, arrays, rejections), arrays["trades"], run.metrics)


def _trials(connection: sa.Connection, run: StoredRun) -> list[Trial]:
    rows = _rows(connection, "run_trials", ("number", "params", "metrics", "digest"), run, by="number")
    return [Trial(*row) for row in rows]


def _rows(
    connection: sa.Connection, table: str, columns: Sequence[str], run: StoredRun, by: str = "seq"
) -> Sequence[Sequence[Any]]:
    source = metadata.tables[table]
    query = (
        sa.select(*(source.c[name] for name in columns)).where(source.c.run == run.key).order_by(source.c[by])
    )
    rows: Sequence[Sequence[Any]] = connection.execute(query).all()
    return rows


def _units(result: BacktestResult) -> series.Units:
    return series.Units(
        result.precision,
        tuple(market.symbol for market in result.markets),
        tuple(market.lot_size for market in result.markets),
    )
