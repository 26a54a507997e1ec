"""The journal: bots, their runs and leases, orders, fills, inputs, notices, checkpoints, usage, controls.

A migration never changes once released, so it spells its types out instead of reading today's tables.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
EXACT = sa.Numeric().with_variant(sa.Text(), "sqlite")
TEXT, WHOLE, FLAG = sa.Text(), sa.BigInteger(), sa.Boolean()
STATES = (
    "intent", "unknown", "open", "partial", "filled", "cancelled", "expired", "refused", "absent", "parked",
)  # fmt: skip


def _columns(kind: Any, *names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _key(name: str, kind: Any = WHOLE) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _own() -> sa.Column[Any]:
    return sa.Column("id", KEY, primary_key=True, autoincrement=True)


def _bot(primary_key: bool = True) -> sa.Column[Any]:
    owner = sa.ForeignKey("bots.id", ondelete="CASCADE")
    return sa.Column("bot", KEY, owner, primary_key=primary_key, nullable=False)


def _one_of(name: str, column: str, *words: str) -> sa.CheckConstraint:
    listed = ", ".join(f"'{word}'" for word in words)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=name)


def upgrade() -> None:
    """Create every table."""
    _create_bots()
    _create_orders()
    _create_fills()
    _create_steps()
    _create_controls()


def _create_bots() -> None:
    op.create_table(
        "bots",
        _own(),
        sa.Column("name", TEXT, nullable=False, unique=True),
        *_columns(TEXT, "mode", "venue", "account", "currency"),
        *_columns(WHOLE, "created", "run", "commits", "checkpoints", "tick", "ts", "controls_from"),
        _one_of("ck_bots_mode", "mode", "live", "sim"),
    )
    op.create_table(
        "bot_runs",
        _bot(),
        _key("number"),
        *_columns(WHOLE, "started"),
        *_columns(TEXT, "code_digest", "manifest_digest"),
        *_columns(sa.JSON(), "manifest"),
        *_columns(WHOLE, "first_tick", "first_ts", "ended", nullable=True),
        *_columns(TEXT, "reason"),
    )
    op.create_table(
        "leases",
        _bot(),
        *_columns(TEXT, "holder"),
        *_columns(WHOLE, "token", "expires"),
        sa.CheckConstraint("token >= 0", name="ck_leases_token"),
    )


def _create_orders() -> None:
    op.create_table(
        "orders",
        _bot(),
        *_columns(WHOLE, "run", "commit_no"),
        _key("client_id", TEXT),
        *_columns(WHOLE, "order_id", "leg"),
        *_columns(TEXT, "symbol", "side", "kind", "tif"),
        *_columns(EXACT, "quantity"),
        *_columns(EXACT, "limit_price", "stop_price", nullable=True),
        *_columns(FLAG, "post_only", "reduce_only"),
        *_columns(TEXT, "state"),
        *_columns(WHOLE, "created", "updated"),
        *_columns(EXACT, "filled"),
        *_columns(TEXT, "venue_id", nullable=True),
        *_columns(TEXT, "reason"),
        *_columns(WHOLE, "token", "tick"),
        _one_of("ck_orders_side", "side", "buy", "sell"),
        _one_of("ck_orders_state", "state", *STATES),
    )
    op.create_index("ix_orders_commit", "orders", ["bot", "commit_no"])
    op.create_index("ix_orders_state", "orders", ["bot", "state"])


def _create_fills() -> None:
    op.create_table(
        "fills",
        _own(),
        _bot(primary_key=False),
        *_columns(WHOLE, "run", "commit_no"),
        *_columns(TEXT, "scope", "trade_id", "client_id"),
        *_columns(WHOLE, "order_id"),
        *_columns(TEXT, "symbol", "side"),
        *_columns(EXACT, "price", "quantity", "fee"),
        *_columns(TEXT, "fee_currency"),
        *_columns(FLAG, "maker"),
        *_columns(WHOLE, "ts"),
        *_columns(EXACT, "notional", "realized"),
        sa.UniqueConstraint("scope", "symbol", "trade_id", "side", name="uq_fills_trade"),
        _one_of("ck_fills_side", "side", "buy", "sell"),
    )
    op.create_index("ix_fills_commit", "fills", ["bot", "commit_no"])


def _create_steps() -> None:
    op.create_table(
        "inputs",
        _bot(),
        _key("run"),
        *_columns(WHOLE, "commit_no"),
        _key("number"),
        *_columns(WHOLE, "tick"),
        *_columns(TEXT, "kind"),
        *_columns(sa.JSON(), "payload"),
    )
    op.create_index("ix_inputs_commit", "inputs", ["bot", "commit_no"])
    op.create_table(
        "notices",
        _bot(),
        *_columns(WHOLE, "run"),
        _key("commit_no"),
        _key("place"),
        *_columns(TEXT, "kind", "code", "text"),
        *_columns(WHOLE, "ts", "order_id"),
        *_columns(TEXT, "symbol"),
    )
    op.create_table(
        "checkpoints",
        _bot(),
        _key("slot", sa.Integer()),
        *_columns(WHOLE, "run", "commit_no", "tick", "ts"),
        *_columns(TEXT, "code_digest", "state"),
        sa.CheckConstraint("slot IN (0, 1)", name="ck_checkpoints_slot"),
    )
    op.create_table(
        "account_usage",
        _bot(),
        *_columns(WHOLE, "commit_no"),
        *_columns(EXACT, "exposure"),
        *_columns(WHOLE, "open_orders", "day"),
        *_columns(EXACT, "day_loss"),
        *_columns(WHOLE, "minute", "minute_orders"),
    )


def _create_controls() -> None:
    op.create_table(
        "controls",
        _own(),
        *_columns(TEXT, "scope", "name", "action", "reason", "by"),
        *_columns(WHOLE, "ts"),
        _one_of("ck_controls_scope", "scope", "strategy", "account", "all"),
        _one_of("ck_controls_action", "action", "halt", "resume", "flatten"),
    )
    op.create_index("ix_controls_name", "controls", ["scope", "name"])
    op.create_table(
        "controls_done",
        _bot(),
        sa.Column("control", KEY, sa.ForeignKey("controls.id", ondelete="CASCADE"), primary_key=True),
        *_columns(WHOLE, "ts"),
    )


def downgrade() -> None:
    """Remove every table."""
    for name in (
        "controls_done", "controls", "account_usage", "checkpoints", "notices", "inputs", "fills", "orders",
        "leases", "bot_runs", "bots",
    ):  # fmt: skip
        op.drop_table(name)
