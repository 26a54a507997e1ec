"""The field's words in orders and notices; keys to page by; numbers of notices; equity; leases by name.

Values: an order is rejected, not_found or in needs_review, which was refused, absent, parked. Columns of
orders: attempt (leg), order_type (kind). Code of the version before can't work on these tables and does not
try: it compares the revision when it opens them, and a statement of one that was open names a column that is
gone.

On PostgreSQL the tables are locked in the order in which a commit locks them. SQLite changes a constraint
only by a new table; nothing refers to orders.

A migration never changes once released, so it spells its names out instead of reading today's tables.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
EXACT = sa.Numeric().with_variant(sa.Text(), "sqlite")
TEXT, WHOLE, FLAG = sa.Text(), sa.BigInteger(), sa.Boolean()
COLUMNS = {"leg": "attempt", "kind": "order_type"}
STATES = {"refused": "rejected", "absent": "not_found", "parked": "needs_review"}
CODES = {"parked": "needs-review"}
KEPT_STATES = ("intent", "unknown", "open", "partial", "filled", "cancelled", "expired")
ORDERS = (
    "bot", "run", "commit_no", "client_id", "order_id", "leg", "symbol", "side", "kind", "tif", "quantity",
    "limit_price", "stop_price", "post_only", "reduce_only", "state", "created", "updated", "filled",
    "venue_id", "reason", "token", "tick",
)  # fmt: skip
OLD_INDEXES = {"ix_orders_commit": ["bot", "commit_no"], "ix_orders_state": ["bot", "state"]}
INDEXES = {
    "ix_orders_created": ("orders", ["created", "bot"]),
    "ix_orders_bot_created": ("orders", ["bot", "created"]),
    "ix_orders_state_created": ("orders", ["state", "created"]),
    "ix_fills_bot": ("fills", ["bot", "id"]),
    "ix_fills_ts": ("fills", ["ts", "id"]),
    "ix_notices_ts": ("notices", ["ts", "bot"]),
    "ix_notices_bot_ts": ("notices", ["bot", "ts"]),
}


def upgrade() -> None:
    """Change orders and notices; add keys and tables."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute("LOCK TABLE leases, bots, orders, fills, notices IN ACCESS EXCLUSIVE MODE")
        _orders_in_place(COLUMNS, STATES)
    else:
        _orders_anew(COLUMNS, STATES)
    _replace("notices", "code", CODES)
    _number_notices()
    for name, (table, columns) in INDEXES.items():
        op.create_index(name, table, columns)
    _create_equity(postgresql)
    op.create_table(
        "named_leases",
        sa.Column("name", TEXT, primary_key=True),
        *_columns(TEXT, "holder"),
        *_columns(WHOLE, "token", "expires"),
        sa.CheckConstraint("token >= 0", name="ck_named_leases_token"),
    )


def _columns(kind: Any, *names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _replace(table: str, column: str, words: dict[str, str]) -> None:
    for old, new in words.items():
        op.execute(f"UPDATE {table} SET {column} = '{new}' WHERE {column} = '{old}'")


def _orders_in_place(columns: dict[str, str], states: dict[str, str]) -> None:
    op.drop_constraint("ck_orders_state", "orders")
    for old, new in columns.items():
        op.alter_column("orders", old, new_column_name=new)
    _replace("orders", "state", states)
    op.create_check_constraint("ck_orders_state", "orders", _one_of(states))


def _one_of(states: dict[str, str]) -> str:
    listed = ", ".join(f"'{state}'" for state in (*KEPT_STATES, *states.values()))
    return f"state IN ({listed})"


def _orders_anew(columns: dict[str, str], states: dict[str, str]) -> None:
    """The same in a new table of the same name."""
    back = {new: old for old, new in columns.items()}
    then = [back.get(name, name) for name in ORDERS]
    now = [columns.get(name, name) for name in then]
    for name in OLD_INDEXES:
        op.drop_index(name, "orders")
    op.rename_table("orders", "orders_before")
    names = iter(now)

    def columns_of(kind: Any, count: int, nullable: bool = False) -> list[sa.Column[Any]]:
        return _columns(kind, *(next(names) for _ in range(count)), nullable=nullable)

    bot = sa.ForeignKey("bots.id", ondelete="CASCADE")
    op.create_table(
        "orders",
        sa.Column(next(names), KEY, bot, primary_key=True, nullable=False),
        *columns_of(WHOLE, 2),
        sa.Column(next(names), TEXT, primary_key=True, autoincrement=False),
        *columns_of(WHOLE, 2),
        *columns_of(TEXT, 4),
        *columns_of(EXACT, 1),
        *columns_of(EXACT, 2, nullable=True),
        *columns_of(FLAG, 2),
        *columns_of(TEXT, 1),
        *columns_of(WHOLE, 2),
        *columns_of(EXACT, 1),
        *columns_of(TEXT, 1, nullable=True),
        *columns_of(TEXT, 1),
        *columns_of(WHOLE, 2),
        sa.CheckConstraint("side IN ('buy', 'sell')", name="ck_orders_side"),
        sa.CheckConstraint(_one_of(states), name="ck_orders_state"),
    )
    words = " ".join(f"WHEN '{old}' THEN '{new}'" for old, new in states.items())
    read = [f"CASE state {words} ELSE state END" if name == "state" else name for name in then]
    op.execute(f"INSERT INTO orders ({', '.join(now)}) SELECT {', '.join(read)} FROM orders_before")
    op.drop_table("orders_before")
    for name, indexed in OLD_INDEXES.items():
        op.create_index(name, "orders", indexed)


def _number_notices() -> None:
    """Number what is there in the order in which it came; what comes later is numbered when it is read."""
    op.add_column("notices", sa.Column("number", WHOLE, nullable=True))
    key = "bot, commit_no, place"
    op.execute(
        f"UPDATE notices SET number = counted.number FROM (SELECT {key},"
        f" row_number() OVER (ORDER BY ts, {key}) AS number FROM notices) AS counted"
        " WHERE notices.bot = counted.bot AND notices.commit_no = counted.commit_no"
        " AND notices.place = counted.place"
    )
    op.create_index("ix_notices_number", "notices", ["number"], unique=True)
    missing = sa.text("number IS NULL")
    op.create_index(
        "ix_notices_unnumbered", "notices", ["ts"], sqlite_where=missing, postgresql_where=missing
    )


def _create_equity(postgresql: bool) -> None:
    bot = ["bot"] if not postgresql else ["bot", "owner"]
    owner = [sa.Column("owner", TEXT, server_default=sa.text("SESSION_USER"), nullable=False)]
    op.create_table(
        "bot_equity",
        sa.Column("bot", KEY, nullable=False, primary_key=True),
        sa.Column("ts", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("run", WHOLE, primary_key=True, autoincrement=False),
        *_columns(WHOLE, "commit_no"),
        *_columns(EXACT, "equity", "cash", "exposure"),
        *(owner if postgresql else ()),
        sa.ForeignKeyConstraint(
            bot,
            [f"bots.{'id' if name == 'bot' else name}" for name in bot],
            ondelete="CASCADE",
            onupdate="CASCADE" if postgresql else None,
            name="bot_equity_bot_fkey" if postgresql else None,
        ),
    )
    if postgresql:
        op.execute("CREATE POLICY own ON bot_equity USING (owner = SESSION_USER)")
        op.execute("ALTER TABLE bot_equity ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Take all of it back, the old words with it."""
    op.drop_table("named_leases")
    op.drop_table("bot_equity")
    for name in ("ix_notices_unnumbered", "ix_notices_number"):
        op.drop_index(name, "notices")
    op.drop_column("notices", "number")
    for name, (table, _) in INDEXES.items():
        op.drop_index(name, table)
    _replace("notices", "code", {new: old for old, new in CODES.items()})
    columns = {new: old for old, new in COLUMNS.items()}
    states = {new: old for old, new in STATES.items()}
    if op.get_bind().dialect.name == "postgresql":
        _orders_in_place(columns, states)
    else:
        _orders_anew(columns, states)
