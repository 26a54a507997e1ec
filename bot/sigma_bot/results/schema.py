"""The tables of runs, as the code of this version knows them. Migrations build them; a test holds the two
together."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Double, ForeignKey, Integer, String, Table, Text

from sigma_bot.database.columns import Exact, Key, Moment, metadata

runs = Table(
    "runs",
    metadata,
    Column("pk", Key, primary_key=True, autoincrement=True),
    Column("id", String(16), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),  # backtest, sweep
    Column("status", String(16), nullable=False),  # done, interrupted
    Column("name", Text, nullable=False, index=True),
    Column("created", Moment, nullable=False, index=True),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False, index=True),
    Column("code_digest", Text, nullable=False),
    Column("manifest_digest", Text, nullable=False),
    Column("data_digest", Text, nullable=False),
    Column("engine", String(16), nullable=False),
    Column("strategy", Text, nullable=False),
    Column("params", JSON, nullable=False),
    Column("currency", Text, nullable=False),
    Column("precision", Integer, nullable=False),
    Column("data_kind", String(16), nullable=False),
    Column("timeframe_ns", BigInteger, nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("start_time", Moment, nullable=False),
    Column("end_time", Moment, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("initial_cash", Exact, nullable=False),
    Column("final_cash", Exact),
    Column("final_equity", Exact),
    Column("realized", Exact),
    Column("fees", Exact),
    Column("funding", Exact),
    Column("metrics", JSON, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("manifest", JSON, nullable=False),
    Column("details", JSON, nullable=False),
)


def _of_run(name: str, *columns: Column[Any], by: str = "seq") -> Table:
    """A table of rows of one run, clustered by run: SQLite would else keep the rows apart from their key."""
    run = Column("run", Key, ForeignKey("runs.pk", ondelete="CASCADE"), primary_key=True)
    order = Column(by, Integer, primary_key=True, autoincrement=False)
    return Table(name, metadata, run, order, *columns, sqlite_with_rowid=False)


def _whole(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False)


def _exact(name: str, nullable: bool = False) -> Column[Any]:
    return Column(name, Exact, nullable=nullable)


def _word(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False)


run_orders = _of_run(
    "run_orders",
    _whole("order_id"),
    _whole("ts"),
    _word("symbol"),
    _word("side"),
    _word("kind"),
    _word("tif"),
    _exact("quantity"),
    _exact("filled"),
    _exact("limit_price", nullable=True),
    _exact("stop_price", nullable=True),
    _word("status"),
    _word("reason"),
    Column("closed", BigInteger),
    _whole("parent"),
    _whole("group_id"),
)
run_fills = _of_run(
    "run_fills",
    _whole("ts"),
    _whole("order_id"),
    _word("symbol"),
    _word("side"),
    _exact("quantity"),
    _exact("price", nullable=True),
    _exact("notional"),
    _exact("fee"),
    _exact("realized"),
    _exact("position"),
    Column("maker", Boolean, nullable=False),
    _exact("best", nullable=True),
    _exact("worst", nullable=True),
)
run_trades = _of_run(
    "run_trades",
    _word("symbol"),
    _word("side"),
    _whole("entry"),
    Column("exit", BigInteger),
    _exact("quantity"),
    _exact("entry_price", nullable=True),
    _exact("exit_price", nullable=True),
    _exact("pnl"),
    _exact("fees"),
    _exact("mae", nullable=True),
    _exact("mfe", nullable=True),
    _whole("fills"),
    Column("open", Boolean, nullable=False),
)
run_equity = _of_run(
    "run_equity",
    _whole("ts"),
    _exact("equity", nullable=True),
    _exact("gross", nullable=True),
    Column("benchmark", Double),
    Column("marks", JSON, nullable=False),
)
run_rejections = _of_run("run_rejections", _word("reason"), _whole("count"))
run_trials = _of_run(
    "run_trials",
    Column("params", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    _word("digest"),
    by="number",
)
