"""Runs with their orders, fills, trades, equity, rejections and trials.

A migration never changes once released, so it spells its types out instead of reading today's tables.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
EXACT = sa.Numeric().with_variant(sa.Text(), "sqlite")
MOMENT = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def _column(name: str, kind: Any, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def _columns(kind: Any, *names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [_column(name, kind, nullable) for name in names]


def _of_run(name: str, *columns: sa.Column[Any], by: str = "seq") -> None:
    op.create_table(
        name,
        sa.Column("run", KEY, sa.ForeignKey("runs.pk", ondelete="CASCADE"), primary_key=True),
        sa.Column(by, sa.Integer(), primary_key=True, autoincrement=False),
        *columns,
        sqlite_with_rowid=False,
    )


def upgrade() -> None:
    """Create every table."""
    _create_runs()
    text, whole, flag = sa.Text(), sa.BigInteger(), sa.Boolean()
    _of_run(
        "run_orders",
        *_columns(whole, "order_id", "ts"),
        *_columns(text, "symbol", "side", "kind", "tif"),
        *_columns(EXACT, "quantity", "filled"),
        *_columns(EXACT, "limit_price", "stop_price", nullable=True),
        *_columns(text, "status", "reason"),
        _column("closed", whole, nullable=True),
        *_columns(whole, "parent", "group_id"),
    )
    _of_run(
        "run_fills",
        *_columns(whole, "ts", "order_id"),
        *_columns(text, "symbol", "side"),
        _column("quantity", EXACT),
        _column("price", EXACT, nullable=True),
        *_columns(EXACT, "notional", "fee", "realized", "position"),
        _column("maker", flag),
        *_columns(EXACT, "best", "worst", nullable=True),
    )
    _of_run(
        "run_trades",
        *_columns(text, "symbol", "side"),
        _column("entry", whole),
        _column("exit", whole, nullable=True),
        _column("quantity", EXACT),
        *_columns(EXACT, "entry_price", "exit_price", nullable=True),
        *_columns(EXACT, "pnl", "fees"),
        *_columns(EXACT, "mae", "mfe", nullable=True),
        _column("fills", whole),
        _column("open", flag),
    )
    _of_run(
        "run_equity",
        _column("ts", whole),
        *_columns(EXACT, "equity", "gross", nullable=True),
        _column("benchmark", sa.Double(), nullable=True),
        _column("marks", sa.JSON()),
    )
    _of_run("run_rejections", _column("reason", text), _column("count", whole))
    _of_run("run_trials", *_columns(sa.JSON(), "params", "metrics"), _column("digest", text), by="number")


def _create_runs() -> None:
    text, word, whole = sa.Text(), sa.String(16), sa.BigInteger()
    op.create_table(
        "runs",
        sa.Column("pk", KEY, primary_key=True, autoincrement=True),
        sa.Column("id", word, nullable=False, unique=True),
        *_columns(word, "kind", "status"),
        _column("name", text),
        _column("created", MOMENT),
        *_columns(text, "version", "digest", "code_digest", "manifest_digest", "data_digest"),
        _column("engine", word),
        _column("strategy", text),
        _column("params", sa.JSON()),
        _column("currency", text),
        _column("precision", sa.Integer()),
        _column("data_kind", word),
        *_columns(whole, "timeframe_ns", "start_ns", "end_ns"),
        *_columns(MOMENT, "start_time", "end_time"),
        _column("events", whole),
        _column("initial_cash", EXACT),
        *_columns(EXACT, "final_cash", "final_equity", "realized", "fees", "funding", nullable=True),
        *_columns(sa.JSON(), "metrics", "counts", "manifest", "details"),
    )
    for name in ("name", "created", "digest"):
        op.create_index(f"ix_runs_{name}", "runs", [name])


def downgrade() -> None:
    """Remove every table."""
    for name in (
        "run_trials",
        "run_rejections",
        "run_equity",
        "run_trades",
        "run_fills",
        "run_orders",
        "runs",
    ):
        op.drop_table(name)
